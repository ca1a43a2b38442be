"""D1 to D4: asking everybody, again and again."""

import time

from lab.bench import contestants
from lab.claims import costs
from lab.claims.claim import Curves, Finding, checked, claim, found, started, told_apart
from lab.harness import servers
from lab.harness.clients import greeted_clients
from lab.observe import run
from lab.observe.record import SERVER, Recording

POLLING = servers.STEPS[3]


def silent(count: int, seconds: float) -> Recording:
    """Record step 4 while so many clients are there and say nothing."""
    with run.watched(run.step_command(POLLING, "--quiet")) as session:
        session.server.patience = 60
        with greeted_clients(session.server, count):
            time.sleep(seconds)
            session.server.stop()
        return session.recording()


@claim("D1")
def returns_at_once(full: bool) -> Finding:
    """On a non-blocking socket `recv` always returns at once; if there is nothing, with EAGAIN."""
    recording = silent(1, 3 if full else 0.5)
    calls = [event for event in recording.of(SERVER, "recv") if event.wasted]
    count = sum(event.count for event in calls)
    longest = max(((event.end - event.start) / event.count for event in calls), default=0.0)
    measured = (
        f"{count} calls for a silent client, all EAGAIN; the longest took {longest * 1e6:.0f} us"
    )
    return found(count > 0 and longest < 0.05, measured)


@claim("D2")
def a_thousand_calls_a_round(full: bool) -> Finding:
    """It asks every 0.2 s: a thousand clients are a thousand `recv` calls a round, nearly all of
    them for nothing.
    """
    many = 1000 if full else 100
    recording = silent(many, 1.5)
    *_, begun, ended = recording.of(SERVER, "sleep")[:-1]
    asked = [e for e in recording.of(SERVER, "recv") if begun.end <= e.start < ended.start]
    calls, wasted = (sum(e.count for e in some) for some in (asked, [e for e in asked if e.wasted]))
    measured = (
        f"{calls:,} `recv` calls between two sleeps of {ended.end - ended.start:.2f} s, {wasted:,}"
        f" of them in vain; they took {(ended.start - begun.end) * 1e3:.1f} ms, recorded"
    )
    return found(calls == wasted == many, measured)


@claim("D3")
def no_good_interval(full: bool) -> Finding:
    """A short interval burns CPU, a long one adds latency. There is no good setting.

    A hundred clients are silent, and one asks now and then.
    """
    points = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2) if full else (0.005, 0.1)
    seconds = 1.0 if full else 0.2
    rows = {at: costs.interval(contestants.polling(at), at, seconds) for at in points}
    select = costs.interval(contestants.SELECT, 0, seconds)
    short, *_, long = rows.values()
    measured = "; ".join(
        f"{at * 1e3:g} ms: {row['busy']:.1%} of a core, answers after {row['p50'] * 1e3:.1f} ms"
        for at, row in ((points[0], short), (points[-1], long))
    )
    measured += f"; `select`: {select['busy']:.1%}, {select['p50'] * 1e3:.2f} ms"
    curves = [
        Curves(
            "interval (ms)",
            label,
            {
                POLLING: [(at * 1e3, row[figure] * unit) for at, row in rows.items()],
                servers.STEPS[4]: [(at * 1e3, select[figure] * unit) for at in points],
            },
        )
        for figure, unit, label in (
            ("p50", 1e3, "median latency (ms)"),
            ("busy", 100, "CPU while nobody talks (% of a core)"),
        )
    ]
    trade = long["p50"] > 5 * short["p50"] and short["busy"] > 3 * long["busy"]
    return found(trade, measured, curves=curves)


@claim("D4")
def others_meanwhile(full: bool) -> Finding:
    """The time in which one client says nothing can be used for others.

    Five clients at once against one, in step 3, where recv blocks, and in step 4.
    """
    return told_apart({f"step {i}": checked("side_by_side", started(i)) for i in (3, 4)})
