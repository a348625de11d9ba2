"""Batchers that share the turns of the loop: each has its own, and none waits for ever."""

from __future__ import annotations

from time import monotonic
from types import SimpleNamespace
from typing import Any

import gevent
from producer_parts import Parts

from klife.actors.channel import Call
from klife.actors.producer.batcher import BatcherActor
from klife.actors.runtime.turn import Turn


class SlowToWrite:
    """A channel whose requests take three milliseconds to write, and whose broker answers at once."""

    is_ready = True

    def __init__(self, turns: list[tuple[int, int]], node: int) -> None:
        self._turns = turns
        self._node = node

    def call(self, request: Any, on_done: Any, **_settings: Any) -> None:
        loop = gevent.get_hub().loop
        self._turns.append((self._node, loop.iteration))
        until = monotonic() + 0.003
        while monotonic() < until:
            pass
        gevent.spawn_later(0.002, Call(request, 0.0, on_done).finish, None)


def test_two_batchers_with_a_backlog_take_turns() -> None:
    parts = Parts(leaders=[1, 2])
    for partition in (0, 1):
        for _ in range(200):
            parts.batch(1, partition)
    turns: list[tuple[int, int]] = []
    actors = []
    for (node, _), lane in parts.accumulator.routing.lanes.items():
        lane.channel = SlowToWrite(turns, node)  # type: ignore[assignment]
        actors.append(BatcherActor.start(lane, SimpleNamespace()))  # type: ignore[arg-type]
    gevent.sleep(0.3)
    for actor in actors:
        actor.stop()
    counts = [sum(node == each for node, _ in turns) for each in (1, 2)]
    assert min(counts) > sum(counts) / 4
    iterations = [iteration for _, iteration in turns]
    assert len(set(iterations)) > 0.9 * len(iterations)  # and hardly ever two in one


def test_a_turn_is_over_after_two_milliseconds_and_begins_anew_with_the_next() -> None:
    loop = SimpleNamespace(iteration=7)
    turn = Turn(loop)
    assert not turn.is_over()
    until = monotonic() + 0.0025
    while monotonic() < until:
        assert loop.iteration == 7
    assert turn.is_over()
    loop.iteration = 8
    assert not turn.is_over()
