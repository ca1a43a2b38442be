"""A herd: all who were cut come back at once, through a door that lets in so many a second.

Whoever has waited for as long as its patience leaves, and comes again after a pause. But it still
stands in the backlog of the listening socket, where nobody sees that it has left, and it takes its
turn there. So the more try, the fewer get in, and no formula says how it ends. See Bronson et
al., Metastable Failures in Distributed Systems (HotOS 2021); for the pauses, Brooker, Exponential
Backoff And Jitter (AWS Architecture Blog, 2015).
"""

import heapq
import itertools
import math
import random
from collections.abc import Callable
from typing import NamedTuple

FIRST, MOST = 1.0, 8.0
"""Seconds of the first pause and of the longest; each is twice the one before."""

HERD = 60, 6, 1.0, 12.0
"""What is tried: clients, of whom a third is cut; how many a second get in; seconds of patience,
and in all."""


def at_once(failures: int, dice: random.Random) -> float:
    """Try again without a pause."""
    return 0.0


def backoff(failures: int, dice: random.Random) -> float:
    """Pause for twice as long after each failure: who failed together comes again together."""
    return min(MOST, FIRST * 2.0 ** (failures - 1))


def jitter(failures: int, dice: random.Random) -> float:
    """Pause for a random part of that."""
    return dice.uniform(0, backoff(failures, dice))


Pause = Callable[[int, random.Random], float]
"""Returns for how many seconds a client waits after so many failures in a row."""

PAUSES: dict[str, Pause] = {"at once": at_once, "backoff": backoff, "backoff with jitter": jitter}


class Door:
    """Lets in `rate` a second, one after the other, counted as HAProxy does (freq_ctr.h).

    A second begins where the last one ended, or with whoever comes after a pause; those of the
    last one count for what is left of this one.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.second = -math.inf
        self.let_in = self.before = 0
        self.free = 0.0

    def turn(self, now: float) -> float:
        """Return when whoever comes now has its turn."""
        at = max(now, self.free)
        while True:
            if at >= self.second + 1:
                follows = at < self.second + 2
                self.before = self.let_in if follows else 0
                self.second, self.let_in = self.second + 1 if follows else at, 0
            room = self.rate - self.let_in
            gone = 1 - room / self.before if self.before > room else 0.0
            if room and (first := max(at, self.second + gone)) < self.second + 1:
                self.let_in += 1
                self.free = first
                return first
            at = self.second + 1


class Back(NamedTuple):
    """How many of a herd came back, with how many tries of all of it."""

    back: int
    tries: int


def simulate(
    count: int, rate: int, patience: float, pause: Pause, seconds: float, seed: int = 0
) -> Back:
    """Have `count` clients be cut, and come back through a door within so many seconds.

    The seed is of their pauses.
    """
    dice, number, door = random.Random(seed), itertools.count(), Door(rate)
    coming = [(pause(1, dice), next(number), 1) for _ in range(count)]
    heapq.heapify(coming)
    back = tries = 0
    while coming and coming[0][0] < seconds:
        now, _, failures = heapq.heappop(coming)
        tries += 1
        if door.turn(now) <= min(now + patience, seconds):  # else it has left
            back += 1
            continue
        again = now + patience + pause(failures + 1, dice)
        heapq.heappush(coming, (again, next(number), failures + 1))
    return Back(back, tries)


def predicted(count: int, rate: int, patience: float, pause: Pause, seconds: float) -> list[Back]:
    """Return the least and the most of it, for fifty seeds."""
    seen = [simulate(count, rate, patience, pause, seconds, seed) for seed in range(50)]
    return [Back(*map(pick, zip(*seen, strict=True))) for pick in (min, max)]
