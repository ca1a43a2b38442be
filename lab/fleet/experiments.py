"""M1 to M7: what three machines and a balancer do, and what is lost when one of them ends."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import simple_client
from lab.claims.claim import Experiment, Finding, claim, found, pace
from lab.fleet import herd
from lab.fleet.balancer import CONNECTED, GREETED, NAMES, SHUT, Fleet, configuration, three_machines
from lab.fleet.load import AWAY, CUT, PATIENCE, REFUSED, SILENT, WHOLE, WRONG, Load, Toll
from lab.harness import talks
from lab.harness.clients import must

FLEET: dict[str, Experiment] = {}
"""All of them, in their order."""

STILL = 1.5
"""Seconds in which a balancer looks six times; two in vain are enough."""

AWAY_FOR = 0.5
"""Seconds until there is another balancer."""

T = TypeVar("T")


def clients(full: bool) -> int:
    """Return how many clients there are."""
    return 60 if full else 12


def under_load(fleet: Fleet, full: bool, happens: Callable[[Fleet], T]) -> tuple[Toll, T]:
    """Have something happen while clients talk; return what became of them from then on."""
    with Load(fleet, clients(full)) as them:
        them.until_talking()
        moment = time.monotonic()
        result = happens(fleet)
    toll = Toll(one for one in them.talks if one.ended >= moment)
    must(not toll.counts[WRONG], str(toll))
    return toll, result


@claim("M1", FLEET)
def three_sequential(full: bool) -> Finding:
    """Three sequential servers behind `maxconn 1` serve three clients at once, and nobody is lost:
    the others wait in the balancer's queue.
    """
    one_each = configuration(maxconn=1, check=CONNECTED)
    with three_machines(1, one_each) as fleet, fleet.clients.inside():
        alone = talks.elapsed(fleet.balancer, 1, pace(full))
        six = talks.talks(fleet.balancer, 6, pace(full))  # Failed unless each gets all it is owed
        queued = int(fleet.balancer.seen()["BACKEND"]["qmax"])
    # A client sees its end about when the next one is greeted: a tenth of a talk is no matter.
    most = max(sum(a.greeted <= b.greeted < a.done - alone / 10 for a in six) for b in six)
    ratio = max(one.done for one in six) / alone
    measured = f"6 clients: {most} at once, {queued} in the queue, {ratio:.1f} times as long as one"
    return found(most == queued == 3 and ratio < 3, measured)


@claim("M2", FLEET)
def a_check_takes_a_place(full: bool) -> Finding:
    """No health check is right for a sequential server: one that waits for the `*` takes a server
    at work for a dead one; one that only connects takes one that stands still for a live one.
    """
    lost, states, said = [], [], []
    for name, check in (("waits for the `*`", GREETED), ("only connects", CONNECTED)):
        with three_machines(1, configuration(maxconn=1, check=check)) as fleet:
            with fleet.clients.inside():
                door = fleet.balancer
                six = asyncio.run(simple_client.run(door.host, door.port, 6, 0.5))
            lost.append(sum(bool(one.problem) for one in six))
            fleet.balancer.until("status", "UP", *NAMES)
            with fleet.servers[0].paused():
                time.sleep(STILL)
                states.append(fleet.balancer.seen()[NAMES[0]]["status"].split()[0])
        still = f"a server that was stopped (SIGSTOP) is {states[-1]}"
        said.append(f"one that {name}: {lost[-1]} of 6 clients lost, {still}")
    return found(lost[0] > 0 == lost[1] and states == ["DOWN", "UP"], "; ".join(said))


@claim("M3", FLEET)
def server_killed(full: bool) -> Finding:
    """Who talks to a server that is killed (`kill -9`) is cut at once, for the machine's kernel
    says so, and nobody else. Whoever begins again is served by the others.
    """

    def kill(fleet: Fleet) -> tuple[int, float]:
        held = fleet.held(1)
        fleet.servers[1].send_signal(signal.SIGKILL)
        return held, fleet.balancer.until("status", "DOWN.*", NAMES[1])

    with three_machines(6) as fleet:
        toll, (held, noticed) = under_load(fleet, full, kill)
        others = fleet.balancer.seen()[NAMES[1]]["wredis"]
    until = f"until two checks had failed ({noticed:.2f} s) {others} new ones went to others"
    measured = f"{held} of {clients(full)} clients were there; {toll}; {until}"
    cut = toll.counts[CUT] + toll.counts[AWAY]
    only = {*toll.counts} <= {WHOLE, CUT, AWAY} and abs(cut - held) <= 2
    return found(only and len(toll.waits) > 0 == toll.never, measured)


@claim("M4", FLEET)
def cut_off(full: bool) -> Finding:
    """When a machine is cut off (its link is down) nobody says so. Its clients wait until two
    health checks have failed, if the balancer then ends their connections; else until they lose
    patience.
    """

    def unplug(fleet: Fleet) -> tuple[int, float]:
        held = fleet.held(1)
        fleet.machines[1].cut_off()
        noticed = fleet.balancer.until("status", "DOWN.*", NAMES[1])
        time.sleep(0 if SHUT in fleet.text else PATIENCE)
        return held, noticed

    said, tolls = [], []
    for name, shut in ((f"with `{SHUT}`", SHUT), ("without", "")):
        with three_machines(6, configuration(down=shut)) as fleet:
            toll, (held, noticed) = under_load(fleet, full, unplug)
        tolls.append(toll)
        said.append(f"{name}: {held} were there, DOWN after {noticed:.2f} s; {toll}")
    first, second = tolls
    holds = first.counts[CUT] > 0 < second.counts[SILENT] and not first.never + second.never
    return found(holds and max(first.waits) < min(second.waits), "; ".join(said))


@claim("M5", FLEET)
def balancer_killed(full: bool) -> Finding:
    """When the balancer is killed everybody is cut, and nobody gets in until there is another. The
    machines go on, and keep nothing of it.
    """

    def kill(fleet: Fleet) -> None:
        fleet.balancer.send_signal(signal.SIGKILL)
        time.sleep(AWAY_FOR)
        fleet.balancer.stop()
        fleet.balance()

    with three_machines(6) as fleet:
        toll, _ = under_load(fleet, full, kill)
        left = fleet.left()
    measured = f"{clients(full)} clients; {toll}; the machines hold {left} connections of nobody"
    cut = toll.counts[CUT] + toll.counts[AWAY]
    all_of_them = cut >= clients(full) - 1 and toll.counts[REFUSED] > 0
    return found(all_of_them and left == toll.never == 0, measured)


@claim("M6", FLEET)
def rolling_restart(full: bool) -> Finding:
    """All servers are started anew, one after the other, and nobody is lost, if each is drained
    first: it gets no new clients, and one waits until the last has left.
    """

    def roll(fleet: Fleet, drained: bool = False) -> None:
        for number, name in enumerate(NAMES):
            if drained:
                fleet.balancer.order(f"set server fleet/{name} state drain")
                fleet.balancer.until("scur", "0", name)
            fleet.restart(number)
            fleet.balancer.order(f"set server fleet/{name} state ready")
            fleet.balancer.until("status", "UP", name)

    with three_machines(6) as fleet:
        right, _ = under_load(fleet, full, lambda fleet: roll(fleet, drained=True))
        wrong, _ = under_load(fleet, full, roll)
    measured = f"drained: {right}; not drained: {wrong}"
    return found({*right.counts} == {WHOLE} and wrong.counts[CUT] > 0, measured)


@claim("M7", FLEET)
def a_herd_comes_back(full: bool) -> Finding:
    """When a machine dies its clients come back at once. Where so many a second get in, most of
    those who try again at once never do: they queue behind their own earlier tries. After pauses
    that grow they do.

    The balancer lets in so many a second. What is compared is a simulation.
    """
    count, rate, patience, seconds = herd.HERD
    said, back, near = [], [], True
    kept: dict[str, float] = {}
    for name, pause in herd.PAUSES.items():
        with (
            three_machines(6) as fleet,
            Load(fleet, count, sys.maxsize, patience, 0.2, pause, insist=False) as them,
        ):
            them.until_talking()
            time.sleep(2)  # the balancer counts by the second: nobody has come in the last
            fleet.balancer.order(f"set rate-limit connections global {rate}")
            fleet.servers[1].send_signal(signal.SIGKILL)
            time.sleep(seconds)
        toll = Toll(them.talks)
        cut, tries = toll.counts[CUT], toll.counts.total() - count
        back.append(len(toll.waits))
        kept |= {f"{name}: cut": cut, f"{name}: back": back[-1], f"{name}: tries": tries}
        least, most = herd.predicted(cut, rate, patience, pause, seconds)
        near &= least.back - count / 12 <= back[-1] <= most.back + count / 12
        near &= 0.7 * least.tries <= tries <= 1.4 * most.tries
        said.append(f"{name}: {back[-1]} of {cut} are back, with {tries} tries")
    return found(near and 2 * back[0] < back[1] + back[2], "; ".join(said), figures=kept)
