"""The results in words: the ratios, a table for each work, and the sentences of the pages."""

import textwrap
from collections.abc import Callable
from typing import Any

from lab.bench import framing, plan
from lab.bench.contestants import C_LIBUV, LIMIT, Contestant
from lab.bench.pairs import SLICE, Side
from lab.bench.plan import REFERENCE
from lab.bench.sentences import SENTENCES
from lab.bench.workloads import WORKLOADS
from lab.show import about
from lab.show.tables import aligned, markdown

Table = list[list[str]]

TARGETS = plan.targets([Contestant(C_LIBUV, LIMIT, ())])

FAULTS = 5
"""Page faults for each answer, above which they are shown."""


def micro(seconds: float) -> str:
    """Write seconds in microseconds."""
    return f"{seconds * 1e6:,.1f} us"


class Results:
    """What was measured: `pairs`, each with the names of its sides, and `framing`."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.pairs = [one for one in found["pairs"] if "failed" not in one]
        self.source = about.line(found["command"], found)

    def pair(self, top: Side, bottom: Side) -> dict[str, Any] | None:
        """Return what was found for two sides, if it was."""
        keys = top.key, bottom.key
        return next((one for one in self.pairs if (one["top"], one["bottom"]) == keys), None)

    def against_reference(self, workload: str, point: int) -> list[dict[str, Any]]:
        """Return the pairs of a table, the least ratio first."""
        keys = [REFERENCE.name, workload, point]
        found = [one for one in self.pairs if one["bottom"] == keys and one["top"][1:] == keys[1:]]
        return sorted(found, key=lambda one: float(one["ratio"]))

    def ratios(self, clients: int) -> dict[str, float]:
        """Return what a request of 64 bytes takes beside step 6, by the name of the server."""
        rows = self.against_reference("requests", clients)
        return {one["top"][0]: one["ratio"] for one in rows}


def ratios(results: Results) -> Table:
    """Return a row for each target."""
    table = [["", "ratio", "half of the pairs", "must", "aim", ""]]
    for target in TARGETS:
        found = results.pair(*target.pair)
        if not found:
            table.append([target.title, "not measured", "", "", "", ""])
            continue
        spread = f"{found['low']:.2f} to {found['high']:.2f}"
        wanted = [f"<= {one:g}" if one else "" for one in (target.must, target.aim)]
        verdict = target.verdict(found["ratio"])
        table.append([target.title, f"{found['ratio']:.3f}", spread, *wanted, verdict])
    return table


def protocol(results: Results) -> Table:
    """Return a row for each input of the protocol: bytes a second of ours, the loop, the ratio."""
    table = [["64 KiB of", "common/framing.py", "a loop over the bytes", "ratio"]]
    for name, both in results.found["framing"].items():
        shown = f"`{name}`" if name in framing.HOSTILE else name
        rates = [f"{rate / 1e6:,.1f} MB/s" for rate in both]
        table.append([shown, *rates, f"{both[0] / both[1]:.2g}"])
    return table


def work(results: Results, workload: str, point: int) -> Table:
    """Return a row for each who did this work, compared with the reference.

    With the page faults of both, where they count.
    """
    table = [["", "ratio", "half of the pairs", "CPU each", "per second", "page faults"]]
    most = 0.0
    for one in results.against_reference(workload, point):
        it, its = one["figures"]["top"], one["figures"]["bottom"]
        most = max(most, it["faults"], its["faults"])
        name = one["top"][0] + " (itself)" * (one["top"] == one["bottom"])
        spread = f"{one['low']:.2f} to {one['high']:.2f}"
        figures = micro(it["cpu"]), f"{it['rate']:,.0f}"
        faults = f"{it['faults']:,.0f}, beside {its['faults']:,.0f}"
        table.append([name, f"{one['ratio']:.2f}", spread, *figures, faults])
    return table if most > FAULTS else [row[:-1] for row in table]


def cold(results: Results) -> Table:
    """Return a row for each that needs more pages for its first generation of fifty clients.

    The faults are counted, and so less a matter of chance than the time of a single turn.
    """
    table = [["", "first generation", "page faults", "second", "page faults"]]
    for one in results.against_reference("requests", 50):
        it = one["figures"]["top"]
        if it["cold_faults"] > 2 * it["faults"] + 0.5:
            first = [micro(it["cold"]), f"{it['cold_faults']:.2f}"]
            table.append([one["top"][0], *first, micro(it["cpu"]), f"{it['faults']:.2f}"])
    return table


def memory(results: Results) -> Table:
    """Return a row for each of whom it is known what an idle client keeps."""
    rows = {one["top"][0]: one for one in results.pairs if one["top"][1:] == ["idle", 10_000]}
    table = [["of 10,000 that say nothing, each keeps", "bytes"]]
    for name, one in sorted(rows.items(), key=lambda it: float(it[1]["figures"]["top"]["memory"])):
        table.append([name, f"{one['figures']['top']['memory']:,.0f}"])
    return table


def method(results: Results) -> str:
    """Say how it was measured, on what machine, and what was left out."""
    text = (
        f"Both servers of a pair are there at once, on one core, with the load on another, and take"
        f" turns of {SLICE:g} s, {results.found['turns']} each. A ratio is that of the sums of CPU"
        " time for each answer, and beside it is the middle half of the ratios of single turns. "
    )
    lines = textwrap.wrap(text + results.source, 96, break_on_hyphens=False)
    failed = [
        f"left out: {' '.join(map(str, one['top']))} ({one['failed']})"
        for one in results.found["pairs"]
        if "failed" in one
    ]
    return "\n".join([*lines, *results.found["left out"], *failed])


def text(results: Results) -> str:
    """Return everything, for a terminal."""
    parts = [aligned(ratios(results)), aligned(protocol(results))]
    points = dict.fromkeys(tuple(one["top"][1:]) for one in results.pairs)
    for workload, point in points:
        table = work(results, workload, point)
        if len(table) > 2:  # somebody beside the reference
            title = f"{WORKLOADS[workload].title} ({point:,})"
            parts.append(f"{title}:\n{aligned(table)}")
    for table in (cold(results), memory(results)):
        if len(table) > 1:
            parts.append(aligned(table))
    return "\n\n".join([*parts, method(results)])


def block(results: Results, argument: str) -> str:
    """Return what a page shows under a name; KeyError if there is no such thing."""
    name, _, point = argument.partition(" ")
    if name in SENTENCES:
        said = SENTENCES[name].format(one=results.ratios(1), fifty=results.ratios(50)).split()
        filled = textwrap.fill(" ".join(said), 98, break_on_hyphens=False)
        return f"{filled}\n\n{results.source}"
    if name in WORKLOADS:
        table = work(results, name, int(point))
        if len(table) == 1:
            raise KeyError(argument)
        return markdown(table)
    if name == "method":
        return method(results)
    return markdown(TABLES[name](results))


TABLES: dict[str, Callable[[Results], Table]] = {
    "ratios": ratios,
    "protocol": protocol,
    "cold": cold,
    "memory": memory,
}
