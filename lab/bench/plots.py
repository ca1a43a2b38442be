"""The results as pictures (SVG), readable on light and on dark pages, and by the colour-blind."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.patches import Patch

from lab.bench import contestants as c
from lab.bench import workloads as w
from lab.bench.results import Results
from lab.bench.workloads import Point, Workload
from lab.show.pictures import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, save

COLOURS = {c.OURS: BLUE, c.PEER: ORANGE, c.LIMIT: GREY}
LEGEND = {c.OURS: "this repository", c.PEER: "libraries", c.LIMIT: "C"}


def bars(results: Results, workload: Workload, point: Point, figure: str, unit: float) -> Any:
    """Draw a bar for each server, the least first, with its spread over the rounds."""
    found = []
    for name in results.servers(workload, point):
        rounds = [value * unit for value in results.rounds(workload, point, name, figure)]
        found.append((median(rounds), min(rounds), max(rounds), name))
    found.sort(reverse=True)
    picture, axes = plt.subplots(figsize=(7.5, 0.9 + 0.27 * len(found)))
    for row, (middle, low, high, name) in enumerate(found):
        colour = COLOURS[results.kinds[name]]
        spread = [[middle - low], [high - middle]]
        axes.barh(row, middle, color=colour, height=0.7)
        axes.errorbar(middle, row, xerr=spread, color="black", linewidth=0.8, capsize=2)
        axes.annotate(
            f"{middle:,.1f}", (high, row), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(found)), [name for *_, name in found])
    axes.grid(False, axis="y")
    axes.margins(x=0.12, y=0.02)
    kinds = [kind for kind in COLOURS if any(results.kinds[one[-1]] == kind for one in found)]
    handles = [Patch(color=COLOURS[kind]) for kind in kinds]
    axes.legend(handles, [LEGEND[kind] for kind in kinds], loc="upper right", frameon=False)
    return picture, axes


def lines(
    axes: Any,
    results: Results,
    workload: Workload,
    figure: str,
    names: Iterable[str],
    unit: float = 1,
    times: bool = False,
) -> None:
    """Draw a line for each server over the points of a workload; `times` the point, if asked."""
    styles = zip((RED, ORANGE, PINK, BLUE, GREEN, GREY, SKY), "osD^vPX", strict=True)
    for name, (colour, marker) in zip(names, styles, strict=False):
        points = sorted(float(point) for point in results.points(workload, name))
        values = [
            median(results.rounds(workload, point, name, figure)) * unit * (point if times else 1)
            for point in points
        ]
        if points:
            axes.plot(points, values, marker=marker, color=colour, label=name)


def cost(results: Results) -> Any:
    """CPU time of a request, for everybody."""
    picture, axes = bars(results, w.REQUESTS, 50, "cpu", 1e6)
    axes.set_xlabel("CPU time of the server per request (microseconds)")
    return picture


def start(results: Results) -> Any:
    """Process start to first answer, for everybody."""
    picture, axes = bars(results, w.STARTUP, "", "seconds", 1e3)
    axes.set_xlabel("process start to first answer (milliseconds)")
    return picture


def beside(results: Results) -> Any:
    """CPU time of a request beside idle clients."""
    picture, axes = plt.subplots(figsize=(7.5, 4))
    names = [one.name for one in (c.POLLING, c.SELECT, c.POLL, c.EPOLL, c.LOOP)]
    lines(axes, results, w.IDLE, "cpu", names, 1e6)
    axes.set_xscale("symlog", linthresh=500, linscale=0.5)
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_xlabel("idle clients beside the 50 that talk")
    axes.set_ylabel("CPU per request (microseconds)")
    axes.set_xticks([0, 500, 1000, 2000, 5000, 10_000], ["0", "500", "1k", "2k", "5k", "10k"])
    axes.set_yticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return picture


def kept(results: Results) -> Any:
    """Memory of idle clients."""
    picture, axes = plt.subplots(figsize=(7.5, 4))
    names = [one.name for one in (c.THREADS, c.SOCKETSERVER, c.PROTOCOL, c.UV_PROTOCOL)]
    names += [c.LOOP.name, c.EPOLL.name]
    lines(axes, results, w.MEMORY, "memory", names, 1 / w.MiB, times=True)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("idle clients")
    axes.set_ylabel("memory for them (MiB)")
    axes.set_xticks([100, 1000, 3000, 10_000], ["100", "1k", "3k", "10k"])
    axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return picture


def waiting(results: Results) -> Any:
    """Latency and idle CPU of step 4 against its interval."""
    picture, panels = plt.subplots(1, 2, figsize=(7.5, 3))
    points = [
        (float(point), name)
        for point in results.points(w.INTERVAL)
        for name in results.servers(w.INTERVAL, point)
        if name != c.SELECT.name
    ]
    sides = (("p50", 1e3, "median latency (ms)"), ("busy", 100, "CPU while idle (% of a core)"))
    for axes, (figure, unit, label) in zip(panels, sides, strict=True):
        values = [median(results.rounds(w.INTERVAL, *one, figure)) * unit for one in points]
        axes.plot([point * 1e3 for point, _ in points], values, marker="o", color=RED)
        best = results.figure(w.INTERVAL, 0, c.SELECT.name, figure)
        if best is not None:
            axes.axhline(best * unit, color=BLUE, linestyle="--", label=c.SELECT.name)
            axes.legend(frameon=False)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xticks([0, 1, 10, 50, 200], ["0", "1", "10", "50", "200"])
        axes.minorticks_off()
        axes.set_xlabel("interval of step 4 (ms)")
        axes.set_ylabel(label)
    return picture


def asked(results: Results) -> Any:
    """CPU time of a request against the size asked of recv."""
    picture, axes = plt.subplots(figsize=(7.5, 2.8))
    points = [float(point) for point in results.points(w.BUFFERS)]
    names = [results.servers(w.BUFFERS, point)[0] for point in points]
    rounds = [
        results.rounds(w.BUFFERS, point, name, "cpu")
        for point, name in zip(points, names, strict=True)
    ]
    values = [median(one) * 1e6 for one in rounds]
    axes.plot(points, values, marker="o", color=BLUE)
    axes.fill_between(
        points,
        [min(one) * 1e6 for one in rounds],
        [max(one) * 1e6 for one in rounds],
        color=BLUE,
        alpha=0.15,
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(points, [f"{point / 1024:g}" for point in points])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("asked of each recv (KiB)")
    axes.set_ylabel("CPU per request (us)")
    return picture


PICTURES = {
    "requests": cost,
    "idle": beside,
    "memory": kept,
    "interval": waiting,
    "startup": start,
    "buffers": asked,
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all pictures of a full run into `folder`; return their files."""
    files = []
    for name, make in PICTURES.items():
        files.append(folder / f"{name}.svg")
        save(files[-1], partial(make, results))
    return files
