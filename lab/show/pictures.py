"""How all pictures look: SVG, readable on light and on dark pages, and by the colour-blind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
RED, PINK, GREY = "#D55E00", "#CC79A7", "#777777"

STYLE: Any = {
    "svg.hashsalt": "lab",  # the same picture for the same figures
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "figure.facecolor": "white",  # on a dark page too
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
}


def save(file: Path, draw: Callable[[], Any]) -> None:
    """Have a figure drawn in this style, and write it."""
    with mpl.rc_context(STYLE):
        picture = draw()
        picture.savefig(file, format="svg", metadata={"Date": None})
        plt.close(picture)
