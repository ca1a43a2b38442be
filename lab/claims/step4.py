"""D1 to D4: asking everybody, again and again."""

import time

from lab.bench import contestants
from lab.claims import costs
from lab.claims.claim import Curves, Finding, Sizes, claim, found, started
from lab.harness import servers
from lab.harness.clients import greeted_clients
from lab.harness.talks import elapsed
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


@claim("D1", step=4)
def returns_at_once(sizes: Sizes) -> Finding:
    """On a non-blocking socket `recv` always returns at once; if there is nothing, with EAGAIN."""
    recording = silent(1, sizes.pick(0.5, 3))
    calls = [event for event in recording.of(SERVER, "recv") if event.wasted]
    count = sum(event.count for event in calls)
    longest = max(((event.end - event.start) / event.count for event in calls), default=0.0)
    measured = (
        f"{count} calls for a silent client, all EAGAIN; the longest took {longest * 1e6:.0f} us"
    )
    return found(count > 0 and longest < 0.05, measured, count=count, longest=longest)


@claim("D2", step=4)
def a_thousand_calls_a_round(sizes: Sizes) -> Finding:
    """It asks every 0.2 s: a thousand clients are a thousand `recv` calls a round, nearly all of
    them for nothing.
    """
    many = sizes.pick(100, 1000)
    recording = silent(many, 1.5)
    *_, begun, ended = recording.of(SERVER, "sleep")[:-1]
    asked = [e for e in recording.of(SERVER, "recv") if begun.end <= e.start < ended.start]
    calls, wasted = (sum(e.count for e in some) for some in (asked, [e for e in asked if e.wasted]))
    measured = (
        f"{calls:,} `recv` calls between two sleeps of {ended.end - ended.start:.2f} s, {wasted:,}"
        f" of them in vain; they took {(ended.start - begun.end) * 1e3:.1f} ms, recorded"
    )
    return found(calls == wasted == many, measured, calls=calls, wasted=wasted)


@claim("D3", step=4)
def no_good_interval(sizes: Sizes) -> Finding:
    """A short interval burns CPU, a long one adds latency. There is no good setting.

    A hundred clients are silent, and one asks now and then.
    """
    points = sizes.pick((0.005, 0.1), (0.001, 0.005, 0.02, 0.05, 0.1, 0.2))
    seconds = sizes.pick(0.2, 1.0)
    rows = {at: costs.interval(contestants.polling(at), at, seconds) for at in points}
    select = costs.interval(contestants.SELECT, 0, seconds)
    short, long = rows[points[0]], rows[points[-1]]
    measured = "; ".join(
        f"{at * 1e3:g} ms: {row['busy']:.1%} of a core, answers after {row['p50'] * 1e3:.1f} ms"
        for at, row in ((points[0], short), (points[-1], long))
    )
    measured += f"; `select`: {select['busy']:.1%}, {select['p50'] * 1e3:.2f} ms"
    name = contestants.SELECT.name
    curves = tuple(
        Curves(
            "interval (ms)",
            label,
            {
                POLLING: [(at * 1e3, row[figure] * unit) for at, row in rows.items()],
                name: [(at * 1e3, select[figure] * unit) for at in points],
            },
        )
        for figure, unit, label in (
            ("p50", 1e3, "median latency (ms)"),
            ("busy", 100, "CPU while nobody talks (% of a core)"),
        )
    )
    trade = long["p50"] > 5 * short["p50"] and short["busy"] > 3 * long["busy"]
    return found(trade, measured, curves=curves, short=short["busy"], long=long["p50"])


@claim("D4", step=4)
def others_meanwhile(sizes: Sizes) -> Finding:
    """The time in which one client says nothing can be used for others.

    Five clients at once against one, in step 4 and in step 3, where recv blocks.
    """
    ratios = {}
    for step in (3, 4):
        with started(step) as server:
            one, five = (elapsed(server, count, sizes.pace) for count in (1, 5))
        ratios[step] = five / one
    measured = f"five take {ratios[4]:.1f} times as long as one; in step 3, {ratios[3]:.1f} times"
    return found(ratios[4] < 2 < ratios[3], measured, four=ratios[4], three=ratios[3])
