"""What the pages say of the results: tables, and for each step what its figures prove."""

import textwrap

from lab.bench import contestants as c
from lab.bench import report
from lab.bench import workloads as w
from lab.bench.contestants import Contestant
from lab.bench.results import Results
from lab.bench.workloads import Point, Workload
from lab.show.tables import markdown


class Written:
    """The figures of a run, as a sentence has them; KeyError if one was not measured."""

    def __init__(self, results: Results) -> None:
        self.results = results

    def figure(self, workload: Workload, point: Point, who: Contestant, name: str) -> float:
        """Return a figure, in seconds or bytes."""
        found = self.results.figure(workload, point, who.name, name)
        if found is None:
            raise KeyError(f"{workload.name} {point} of {who.name}")
        return found

    def cpu(self, who: Contestant, clients: int = 50) -> str:
        """Return what a request takes of the server's CPU time."""
        return report.micro(self.figure(w.REQUESTS, clients, who, "cpu"))

    def beside(self, who: Contestant, idle: int) -> str:
        """Return the same beside idle clients."""
        return report.micro(self.figure(w.IDLE, idle, who, "cpu"))

    def memory(self, who: Contestant, times: int = 1) -> str:
        """Return what an idle client keeps, or so many of them."""
        size = self.figure(w.MEMORY, 10_000, who, "memory") * times
        return f"{size:,.0f} bytes" if size < w.MiB else f"{size / w.MiB:,.0f} MiB"

    def start(self, who: Contestant) -> str:
        """Return the time from the start of the process to the first answer."""
        return f"{self.figure(w.STARTUP, '', who, 'seconds') * 1000:.0f} ms"

    def latency(self, who: Contestant, interval: float) -> str:
        """Return the median latency of one client that speaks now and then."""
        found = self.figure(w.INTERVAL, interval, who, "p50") * 1000
        return f"{found:.0f} ms" if found >= 10 else f"{found:.2g} ms"

    def busy(self, who: Contestant, interval: float) -> str:
        """Return the share of a core that it uses while nobody speaks."""
        return f"{self.figure(w.INTERVAL, interval, who, 'busy'):.1%}"


def step1(of: Written) -> str:
    """Step 1: what one client costs."""
    return (
        f"For its one client a request of 64 bytes takes {of.cpu(c.SEQUENTIAL, 1)} of the server's"
        f" CPU time ({of.cpu(c.EPOLL, 1)} in step 6), and {of.start(c.SEQUENTIAL)} after its"
        " start the first answer is there. Its price is the time of whoever comes second."
    )


def step2(of: Written) -> str:
    """Step 2: a thread is memory."""
    return (
        f"A client that says nothing keeps {of.memory(c.THREADS)} of the server's memory, and"
        f" 10,000 of them {of.memory(c.THREADS, 10_000)}; in step 6 that is {of.memory(c.EPOLL)}"
        f" and {of.memory(c.EPOLL, 10_000)}. With 50 clients that talk, a request takes"
        f" {of.cpu(c.THREADS)} of CPU time, in step 6 {of.cpu(c.EPOLL)}."
    )


def step3(of: Written) -> str:
    """Step 3: what it costs to look at the clock."""
    return (
        "It looks at two clocks before and after every call, also with `--quiet`: a request of"
        f" one client takes {of.cpu(c.BLOCKING, 1)} of CPU time, in step 1"
        f" {of.cpu(c.SEQUENTIAL, 1)}."
    )


def step4(of: Written) -> str:
    """Step 4: latency or CPU."""
    slow, fast = 0.2, 0.001
    return (
        "With 100 silent clients and one that speaks now and then, an answer took"
        f" {of.latency(c.polling(slow), slow)} (the median) at an interval of 200 ms, and the"
        f" server used {of.busy(c.polling(slow), slow)} of a core in silence. At 1 ms it was"
        f" {of.latency(c.polling(fast), fast)} and {of.busy(c.polling(fast), fast)}. Step 5"
        f" answered in {of.latency(c.SELECT, 0)} and used {of.busy(c.SELECT, 0)}."
    )


def step5(of: Written) -> str:
    """Step 5: O(N)."""
    return (
        f"With 50 clients that talk, a request takes {of.beside(c.SELECT, 0)} of CPU time. With"
        f" 900 more that say nothing it takes {of.beside(c.SELECT, 900)}: all 950 are handed to"
        f" the kernel at every call. In step 6 it is {of.beside(c.EPOLL, 1000)} beside 1,000."
        f" Where all of 500 clients talk it is {of.cpu(c.SELECT, 500)} here, and"
        f" {of.cpu(c.PROTOCOL, 500)} in asyncio: many are served for each call of `select`."
    )


def step6(of: Written) -> str:
    """Step 6: O(1)."""
    return (
        f"With 50 clients that talk, a request takes {of.beside(c.EPOLL, 0)} of CPU time, and with"
        f" 10,000 more that say nothing {of.beside(c.EPOLL, 10_000)}. Each of these keeps"
        f" {of.memory(c.EPOLL)} of memory. For the same request uvloop, whose loop is written in C,"
        f" takes {of.cpu(c.UV_PROTOCOL)}, and asyncio {of.cpu(c.PROTOCOL)}."
    )


def step7(of: Written) -> str:
    """Step 7: what a library costs."""
    return (
        f"A request takes {of.cpu(c.LOOP)} of CPU time, where the loop of step 6, which has no"
        f" timers and no pool, takes {of.cpu(c.EPOLL)}, uvloop {of.cpu(c.UV_PROTOCOL)} and asyncio"
        f" {of.cpu(c.PROTOCOL)}. Beside 10,000 clients that say nothing it takes"
        f" {of.beside(c.LOOP, 10_000)}, and each of these keeps {of.memory(c.LOOP)} of memory."
    )


def protocol_table(results: Results) -> list[list[str]]:
    """Return a row for each input of the protocol: bytes a second of ours, the loop, the ratio."""
    table = [["64 KiB of", *(one.name for one in (w.FRAMING, w.LOOP_OVER_BYTES)), "ratio"]]
    for point in results.points(w.PROTOCOL_ALONE):
        ours, loop = (
            results.figure(w.PROTOCOL_ALONE, point, one.name, "rate") or 0.0
            for one in (w.FRAMING, w.LOOP_OVER_BYTES)
        )
        named = f"`{point}`" if point in w.HOSTILE else str(point)
        rates = [f"{report.mebi(one)}/s" for one in (ours, loop)]
        table.append([named, *rates, f"{ours / loop:.2g}"])
    return table


SENTENCES = {one.__name__: one for one in (step1, step2, step3, step4, step5, step6, step7)}


def block(results: Results, name: str) -> str:
    """Return what a page has under `bench NAME`; KeyError if there is no such thing."""
    if name == "targets":
        return markdown(report.targets(results))
    if name == "about":
        return textwrap.fill(f"{results.about['method']} {results.measured()}", 98)
    if name in SENTENCES:
        told = SENTENCES[name](Written(results))
        return "\n\n".join(textwrap.fill(one, 98) for one in (told, results.measured()))
    if name == "protocol":
        return markdown(protocol_table(results))
    workload, _, point = name.partition(" ")
    return markdown(report.rows(results, *parsed(results, workload, point)))


def parsed(results: Results, name: str, text: str) -> tuple[Workload, Point]:
    """Return the workload of that name, and the point that is written so."""
    workload = {one.name: one for one in report.WORKLOADS}[name]
    point = {str(point): point for point in results.points(workload)}[text]
    return workload, point
