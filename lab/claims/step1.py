"""A1 to A3: one client after the other."""

from itertools import accumulate, pairwise

import simple_client
from lab.claims.claim import Finding, claim, found, pace, recorded, started
from lab.harness.talks import elapsed, talks
from lab.observe.record import SERVER, Recording


@claim("A1")
def one_client(full: bool) -> Finding:
    """One client takes about 2.2 s, which are the pauses in its own script."""
    with started(1) as server:
        took = elapsed(server, 1, pace(full))
    pauses = simple_client.script(pace(full))
    measured = f"{took:.2f} s, of which the client pauses {pauses:.2f} s"
    return found(pauses < took < 1.2 * pauses, measured)


@claim("A2")
def one_after_the_other(full: bool) -> Finding:
    """Five clients at once take five times as long: each is served from its first byte to its
    last before the next gets its `*`. The order need not be that in which they were started.
    """
    with started(1) as server:
        one = elapsed(server, 1, pace(full))
        five = talks(server, 5, pace(full))
    ratio = max(talk.done for talk in five) / one
    waited = all(after.greeted > before.done - 0.05 for before, after in pairwise(five))
    order = ", ".join(talk.name for talk in five)
    measured = f"{ratio:.1f} times as long as one; greeted one by one, in the order {order}"
    return found(waited and 4.5 < ratio < 5.5, measured)


@claim("A3")
def sequential_flow(full: bool) -> Finding:
    """While one client is served, the server accepts nobody and answers nobody else."""
    recordings = recorded(full, 1)
    (recording,) = recordings.values()
    most = served_at_once(recording)
    slept = sum(event.slept for event in recording.of(SERVER, "recv"))
    measured = f"at most {most} client at once; it slept in recv {slept / recording.end:.0%} of it"
    return found(most == 1, measured, recordings=recordings)


def served_at_once(recording: Recording) -> int:
    """Return how many clients, at the most, the server had accepted and not yet closed."""
    events = [event for event in recording.of(SERVER, "accept", "close") if event.client]
    return max(accumulate(1 if event.call == "accept" else -1 for event in events), default=0)
