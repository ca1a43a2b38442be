"""D1 to D4: asking everybody, again and again."""

import time

from lab.bench import contestants
from lab.claims import costs
from lab.claims.claim import Curves, Finding, checked, claim, found, started, told_apart
from lab.harness.clients import greeted_clients
from lab.harness.servers import STEPS
from lab.observe import run
from lab.observe.record import SERVER, Recording

POLLING = STEPS[3]


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
    measured = f"{count} calls in vain for a silent client; the longest took {longest * 1e6:.0f} us"
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
    calls, wasted = sum(e.count for e in asked), sum(e.count for e in asked if e.wasted)
    took = f"{(ended.start - begun.end) * 1e3:.1f} ms, recorded"
    measured = f"{calls:,} `recv` calls between two sleeps, {wasted:,} in vain; they took {took}"
    return found(calls == wasted == many, measured)


@claim("D3")
def no_good_interval(full: bool) -> Finding:
    """A short interval burns CPU, a long one adds latency. There is no good setting.

    A hundred clients are silent, and one asks now and then.
    """
    points = (1, 5, 20, 50, 100, 200) if full else (5, 100)
    seconds = 1.0 if full else 0.2
    rows = {at: costs.interval(contestants.polling(at / 1e3), at / 1e3, seconds) for at in points}
    rows[0] = costs.interval(contestants.SELECT, 0, seconds)
    short, long = points[0], points[-1]
    measured = "; ".join(
        f"{f'{at} ms' if at else '`select`'}: {rows[at][1]:.1f}% of a core, answers after"
        f" {rows[at][0]:.1f} ms"
        for at in (short, long, 0)
    )
    labels = "median latency (ms)", "CPU while nobody talks (% of a core)"
    curves = []
    for which, label in enumerate(labels):
        polling = [(float(at), rows[at][which]) for at in points]
        select = [(at, rows[0][which]) for at, _ in polling]
        curves.append(Curves("interval (ms)", label, {POLLING: polling, STEPS[4]: select}))
    trade = rows[long][0] > 5 * rows[short][0] and rows[short][1] > 3 * rows[long][1]
    return found(trade, measured, curves=curves)


@claim("D4")
def others_meanwhile(full: bool) -> Finding:
    """The time in which one client says nothing can be used for others.

    Five clients at once against one, in step 3, where recv blocks, and in step 4.
    """
    return told_apart({f"step {i}": checked("side_by_side", started(i)) for i in (3, 4)})
