"""The results in words: a table for each workload and point, and the ratios."""

from collections.abc import Callable
from statistics import median

from lab.bench import workloads as w
from lab.bench.results import TARGETS, Results
from lab.bench.workloads import Point, Workload
from lab.show.tables import aligned

MICRO, MILLI = 1e6, 1e3

Column = tuple[str, str, Callable[[float], str]]


def micro(seconds: float) -> str:
    """Write seconds in microseconds."""
    return f"{seconds * MICRO:,.1f} us"


def milli(seconds: float) -> str:
    """Write seconds in milliseconds."""
    return f"{seconds * MILLI:,.2f} ms"


def share(value: float) -> str:
    """Write a part of 1 in per cent."""
    return f"{value:.1%}"


def whole(value: float) -> str:
    """Write a number without decimals."""
    return f"{value:,.0f}"


def mebi(value: float) -> str:
    """Write bytes in MiB."""
    return f"{value / w.MiB:,.1f} MiB"


LATENCY: list[Column] = [("p50", "p50", milli), ("p99", "p99", milli)]
TRAFFIC: list[Column] = [("cpu", "CPU each", micro), ("rate", "per second", whole), *LATENCY]

COLUMNS: dict[str, list[Column]] = {
    w.REQUESTS.name: TRAFFIC,
    w.FRAMES.name: TRAFFIC,
    w.TINY_FRAMES.name: TRAFFIC,
    w.CHURN.name: TRAFFIC,
    w.IDLE.name: [*TRAFFIC[:2], ("memory", "bytes per idle one", whole)],
    w.MEMORY.name: [("memory", "bytes per idle one", whole)],
    w.BUFFERS.name: TRAFFIC,
    w.INTERVAL.name: [("busy", "CPU while idle", share), *LATENCY],
    w.STARTUP.name: [("seconds", "to first answer", milli)],
    w.PROTOCOL_ALONE.name: [("rate", "per second", mebi)],
}
"""For each workload its figures, the first being what the rows are sorted by."""

WORKLOADS = (
    w.REQUESTS,
    w.FRAMES,
    w.TINY_FRAMES,
    w.IDLE,
    w.CHURN,
    w.MEMORY,
    w.INTERVAL,
    w.BUFFERS,
    w.STARTUP,
    w.PROTOCOL_ALONE,
)


def rows(results: Results, workload: Workload, point: Point) -> list[list[str]]:
    """Return a heading and a row for each server: name, first figure, its spread, the others."""
    (first, heading, write), *others = COLUMNS[workload.name]
    table = [["", heading, "from", "to", *(title for _, title, _ in others)]]
    found = []
    for name in results.servers(workload, point):
        spread = results.rounds(workload, point, name, first)
        cells = [write(median(spread)), write(min(spread)), write(max(spread))]
        for figure, _, write_other in others:
            cells.append(write_other(median(results.rounds(workload, point, name, figure))))
        found.append((median(spread), [name, *cells]))
    return table + [cells for _, cells in sorted(found)]


def targets(results: Results) -> list[list[str]]:
    """Return a heading and a row for each ratio that was asked for, with its verdict."""
    table = [["", "median", "from", "to", "must", "aim", ""]]
    for target in TARGETS:
        found = target.rounds(results)
        bound = ">=" if target.aim > target.must else "<="
        asked = [f"{bound} {target.must:g}", f"{bound} {target.aim:g}"]
        if not found:
            table.append([target.title, "-", "-", "-", *asked, "not measured"])
            continue
        cells = [number(value) + target.unit for value in (median(found), min(found), max(found))]
        table.append([target.title, *cells, *asked, target.verdict(median(found))])
    return table


def number(value: float) -> str:
    """Write a ratio, or bytes."""
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def title(workload: Workload, point: Point, results: Results) -> str:
    """Return what a table is about."""
    if isinstance(point, str):
        where = f": {point}" if point else ""
    else:
        where = f" ({point:,} {workload.axis})"
    return results.titles[workload.name] + where


def text(results: Results) -> str:
    """Write everything for a terminal."""
    parts = []
    for workload in WORKLOADS:
        for point in results.points(workload):
            parts.append(title(workload, point, results))
            parts.append(aligned(rows(results, workload, point)) + "\n")
    parts += ["The ratios, each within one round", aligned(targets(results)) + "\n"]
    parts += [f"no figure: {line}" for line in results.failed]
    parts += [*results.about["left_out"], results.about["method"], results.measured()]
    return "\n".join(parts)
