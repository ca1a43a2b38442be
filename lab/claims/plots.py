"""The curves of a finding as a picture."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt

from lab.claims.claim import Curves
from lab.show.pictures import BLUE, GREEN, ORANGE, PINK, RED

STYLES = tuple(zip((RED, BLUE, GREEN, ORANGE, PINK), "os^Dv", strict=True))


def draw(curves: Sequence[Curves]) -> Any:
    """Draw a panel for each, side by side."""
    picture, panels = plt.subplots(1, len(curves), figsize=(7.5, 3.2), squeeze=False)
    for axes, one in zip(panels[0], curves, strict=True):
        for (name, points), (colour, marker) in zip(one.lines.items(), STYLES, strict=False):
            axes.plot(*zip(*points, strict=True), marker=marker, color=colour, label=name)
        axes.set_xlabel(one.x)
        axes.set_ylabel(one.y)
        if one.log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
    lines, names = panels[0][0].get_legend_handles_labels()
    picture.legend(lines, names, loc="outside upper center", ncols=len(names), frameon=False)
    return picture
