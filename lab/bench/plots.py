"""The results as pictures (SVG), readable on light and on dark pages, and by the colour-blind."""

from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.patches import Patch

from lab.bench import contestants as c
from lab.bench.plan import REFERENCE
from lab.bench.report import Results
from lab.show.pictures import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, save

COLOURS = {c.OURS: BLUE, c.PEER: ORANGE, c.LIMIT: GREY}
LEGEND = {c.OURS: "this repository", c.PEER: "libraries", c.LIMIT: "C"}
KINDS = {one.name: one.kind for one in (*c.STEPS_MANY, *c.PEERS)}


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all pictures into a folder; return the files."""
    pictures = {"requests.svg": requests, "idle.svg": idle}
    for name, picture in pictures.items():
        save(folder / name, partial(picture, results))
    return [folder / name for name in pictures]


def requests(results: Results) -> Any:
    """Draw a bar for each server: what a request takes, beside step 6, the least first."""
    found = results.against_reference("requests", 50)[::-1]
    picture, axes = plt.subplots(figsize=(7.5, 0.9 + 0.27 * len(found)))
    kinds = [KINDS.get(one["top"][0], c.LIMIT) for one in found]
    for row, (one, kind) in enumerate(zip(found, kinds, strict=True)):
        axes.barh(row, one["ratio"], color=COLOURS[kind], height=0.7)
        spread = [[max(0, one["ratio"] - one["low"])], [max(0, one["high"] - one["ratio"])]]
        axes.errorbar(one["ratio"], row, xerr=spread, color="black", linewidth=0.8, capsize=2)
        at = max(one["ratio"], one["high"]), row
        axes.annotate(f"{one['ratio']:.2f}", at, (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(found)), [one["top"][0] for one in found])
    axes.grid(False, axis="y")
    axes.margins(x=0.12, y=0.02)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel(f"CPU time for a request of 64 bytes, 50 clients ({REFERENCE.name} is 1)")
    handles = [Patch(color=COLOURS[kind]) for kind in COLOURS if kind in kinds]
    names = [LEGEND[kind] for kind in COLOURS if kind in kinds]
    axes.legend(handles, names, loc="lower right", frameon=False)
    return picture


def idle(results: Results) -> Any:
    """Draw a line for each server: what a request takes, against how many others are silent."""
    picture, axes = plt.subplots(figsize=(7.5, 3.6))
    styles = zip((RED, ORANGE, PINK, BLUE, GREEN, GREY, SKY), "osD^vPX", strict=True)
    lines: dict[str, list[tuple[int, float]]] = {}
    for point in sorted({one["top"][2] for one in results.pairs if one["top"][1] == "idle"}):
        for one in results.against_reference("idle", point):
            cpu = one["figures"]["top"]["cpu"] * 1e6
            lines.setdefault(one["top"][0], []).append((point, cpu))
    for (name, points), (colour, marker) in zip(lines.items(), styles, strict=False):
        axes.plot(*zip(*points, strict=True), marker=marker, color=colour, label=name)
    axes.set_xlabel("clients that say nothing")
    axes.set_ylabel("CPU time for a request (us)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9)
    return picture
