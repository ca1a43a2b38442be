"""The results as a picture: a bar for each server."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.patches import Patch

from lab.bench import contestants as c
from lab.bench.report import Results
from lab.show.pictures import BLUE, GREY, ORANGE

LEGEND = {c.OURS: (BLUE, "this repository"), c.PEER: (ORANGE, "libraries"), c.LIMIT: (GREY, "C")}
KINDS = {one.name: one.kind for one in (*c.STEPS_MANY, c.POLL, *c.PEERS)}


def requests(results: Results) -> Any:
    """Draw a bar for each server: what a request takes, beside step 6, the least first."""
    found = results.against_reference("requests", 50)[::-1]
    picture, axes = plt.subplots(figsize=(7.5, 0.9 + 0.27 * len(found)))
    kinds = [KINDS.get(one["top"][0], c.LIMIT) for one in found]
    for row, (one, kind) in enumerate(zip(found, kinds, strict=True)):
        axes.barh(row, one["ratio"], color=LEGEND[kind][0], height=0.7)
        spread = [[max(0, one["ratio"] - one["low"])], [max(0, one["high"] - one["ratio"])]]
        axes.errorbar(one["ratio"], row, xerr=spread, color="black", linewidth=0.8, capsize=2)
        at = max(one["ratio"], one["high"]), row
        axes.annotate(f"{one['ratio']:.2f}", at, (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(found)), [one["top"][0] for one in found])
    axes.grid(False, axis="y")
    axes.margins(x=0.12, y=0.02)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("CPU time for a request, 50 clients (step 6 is 1)")
    shown = [Patch(color=it, label=name) for kind, (it, name) in LEGEND.items() if kind in kinds]
    axes.legend(handles=shown, loc="upper right", frameon=False)
    return picture
