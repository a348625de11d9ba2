"""The measures. Each does one thing many times and says how often, and the seconds it took: of the clock, and
of the processor.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

from bench.actors.contestants import Births, Contestant

BURST = 100
CHILDREN = 1_000


@dataclass(frozen=True)
class Scale:
    """How often each thing is done. `storm_rounds` times all CHILDREN crash."""

    messages: int = 200_000
    restarts: int = 2_000
    starts: int = 3
    storm_rounds: int = 10


SMALL = Scale(messages=1_000, restarts=10, starts=1, storm_rounds=1)


class Stopwatch:
    """Adds up what runs within `with watch.running():`."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        wall, cpu = perf_counter(), process_time()
        yield
        self.cpu += process_time() - cpu
        self.wall += perf_counter() - wall


def tell(contestant: Contestant, scale: Scale, watch: Stopwatch) -> int:
    """Putting a message into the inbox of an actor that does not run meanwhile."""
    with contestant.peer() as peer:
        if peer is None:
            return 0
        for _ in range(scale.messages // 1_000):
            send = peer.tell
            with watch.running():
                for number in range(1_000):
                    send(number)
            peer.ask(None)
    return scale.messages


def tell_and_handle(contestant: Contestant, scale: Scale, watch: Stopwatch) -> int:
    """Telling a burst of messages and waiting until the last is handled; an ask at its end tells."""
    with contestant.peer() as peer:
        if peer is None:
            return 0
        send, ask = peer.tell, peer.ask
        with watch.running():
            for _ in range(scale.messages // BURST):
                for number in range(BURST - 1):
                    send(number)
                ask(None)
    return scale.messages


def ask(contestant: Contestant, scale: Scale, watch: Stopwatch) -> int:
    """Asking, and waiting for the answer, one after the other."""
    with contestant.peer() as peer:
        if peer is None:
            return 0
        send = peer.ask
        with watch.running():
            for number in range(scale.messages // 2):
                send(number)
    return scale.messages // 2


def start(contestant: Contestant, scale: Scale, watch: Stopwatch) -> int:
    """Starting CHILDREN children, until the last of them runs. Counted by child."""
    for _ in range(scale.starts):
        births = Births()
        births.expect(CHILDREN)
        # What the trees before left is not this start's to clean up.
        gc.collect()
        with watch.running():
            tree = contestant.tree(CHILDREN, births)
            tree.__enter__()
        births.wait()
        tree.__exit__(None, None, None)
    return scale.starts * CHILDREN


def restart(contestant: Contestant, scale: Scale, watch: Stopwatch) -> int:
    """Crashing one child, of one, and waiting until its successor runs."""
    births = Births()
    births.expect(1)
    with contestant.tree(1, births) as crash:
        if crash is None:
            return 0
        with watch.running():
            for _ in range(scale.restarts):
                births.expect(1)
                crash(0)
                births.wait()
    return scale.restarts


def storm(contestant: Contestant, scale: Scale, watch: Stopwatch) -> int:
    """Crashing CHILDREN children at once and waiting until all run again, `storm_rounds` times over."""
    births = Births()
    births.expect(CHILDREN)
    tree: Callable[[int, Births], Any] = getattr(contestant, "storm_tree", contestant.tree)
    with tree(CHILDREN, births) as crash:
        if crash is None:
            return 0
        with watch.running():
            for _ in range(scale.storm_rounds):
                births.expect(CHILDREN)
                for number in range(CHILDREN):
                    crash(number)
                births.wait()
    return scale.storm_rounds * CHILDREN


# In the order of the report, with what one of them is called there.
MEASURES: dict[str, Callable[[Contestant, Scale, Stopwatch], int]] = {
    "tell": tell,
    "tell + handle": tell_and_handle,
    "ask": ask,
    "start a child": start,
    "restart": restart,
    "restart, in a storm": storm,
}
