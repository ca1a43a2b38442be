"""A1 to A3: one client after the other."""

from itertools import pairwise

from lab.claims.claim import Finding, Sizes, claim, found, started
from lab.harness import servers
from lab.harness.talks import elapsed, script, talks
from lab.observe import run
from lab.observe.record import SERVER, Recording


@claim("A1", step=1)
def one_client(sizes: Sizes) -> Finding:
    """One client takes about 2.2 s, which are the pauses in its own script."""
    with started(1) as server:
        took = elapsed(server, 1, sizes.pace)
    pauses = script(sizes.pace)
    measured = f"{took:.2f} s, of which the client pauses {pauses:.2f} s"
    return found(took < 1.2 * pauses, measured, seconds=took)


@claim("A2", step=1)
def one_after_the_other(sizes: Sizes) -> Finding:
    """Five clients at once take five times as long: each is served from its first byte to its
    last before the next gets its `*`. The order need not be that in which they were started.
    """
    with started(1) as server:
        one = elapsed(server, 1, sizes.pace)
        five = talks(server, 5, sizes.pace)
    ratio = max(talk.done for talk in five) / one
    waited = all(after.greeted > before.done - 0.05 for before, after in pairwise(five))
    order = ", ".join(talk.name for talk in five)
    measured = f"{ratio:.1f} times as long as one; greeted one by one, in the order {order}"
    return found(waited and 4.5 < ratio < 5.5, measured, ratio=ratio)


@claim("A3", step=1)
def sequential_flow(sizes: Sizes) -> Finding:
    """While one client is served, the server accepts nobody and answers nobody else."""
    recording = run.conversation(run.step_command(servers.STEPS[0]), count=3, pace=sizes.pace)
    most = served_at_once(recording)
    waits = [event for event in recording.of(SERVER, "recv") if event.slept > 0.01 * sizes.pace]
    share = sum(event.slept for event in waits) / recording.end
    measured = f"at most {most} client was being served; the thread slept in recv {share:.0%} of it"
    return found(most == 1, measured, most=most, recordings={servers.STEPS[0]: recording})


def served_at_once(recording: Recording) -> int:
    """Return how many clients, at the most, the server had accepted and not yet closed."""
    now = most = 0
    for event in recording.of(SERVER, "accept", "close"):
        if event.client:
            now += 1 if event.call == "accept" else -1
            most = max(most, now)
    return most
