"""Batchers that share the turns of the loop: each has its own, and none waits for ever."""

from __future__ import annotations

from time import monotonic
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife.actors.network.call import Call
from klife.actors.producer import request
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.runtime.loop_budget import LoopBudget
from tests.support.producer_parts import Parts
from tests.support.waiting import wait_until


class SlowToWrite:
    """A broker whose requests take three milliseconds to write, and whose broker answers at once."""

    is_ready = True

    def __init__(self, turns: list[tuple[int, int]], node: int) -> None:
        self._turns = turns
        self._node = node

    def send(self, call: Call, **_settings: Any) -> None:
        loop = gevent.get_hub().loop
        self._turns.append((self._node, loop.iteration))
        until = monotonic() + 0.003
        while monotonic() < until:
            pass
        gevent.spawn_later(0.002, call.finish)


def test_two_batchers_with_a_backlog_take_turns() -> None:
    parts = Parts(leaders=[1, 2], acks=0, idempotent=False)  # so that no answer is enough
    for partition in (0, 1):
        for _ in range(200):
            parts.batch(1, partition)
    turns: list[tuple[int, int]] = []
    actors = []
    for (node, _), batcher in parts.producer.batchers.all.items():
        batcher.broker = SlowToWrite(turns, node)  # type: ignore[assignment]
        actors.append(BatcherActor.start(parts.producer, batcher, SimpleNamespace()))  # type: ignore[arg-type]
    wait_until(lambda: len(turns) >= 60)
    for actor in actors:
        actor.stop()
    counts = [sum(node == each for node, _ in turns) for each in (1, 2)]
    assert min(counts) > sum(counts) / 4
    iterations = [iteration for _, iteration in turns]
    assert len(set(iterations)) > 0.9 * len(iterations)  # and hardly ever two in one


def test_a_request_of_many_batches_lets_the_hub_run_while_it_compresses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed_in: list[int] = []

    def slow(_codec: int, data: bytes, _level: int | None) -> bytes:
        compressed_in.append(gevent.get_hub().loop.iteration)
        until = monotonic() + 0.003
        while monotonic() < until:
            pass
        return data

    monkeypatch.setattr(request, "compress", slow)
    parts = Parts(leaders=[1] * 20, codec=4)
    for partition in range(20):
        parts.batch(1, partition)
    [batcher] = parts.producer.batchers.all.values()
    sent = Event()
    batcher.broker = SimpleNamespace(is_ready=True, send=lambda *_arguments, **_settings: sent.set())  # type: ignore[assignment]
    actor = BatcherActor.start(parts.producer, batcher, SimpleNamespace())  # type: ignore[arg-type]
    assert sent.wait(30)
    actor.stop()
    assert len(compressed_in) == len(set(compressed_in)) == 20


def test_a_turn_is_over_after_two_milliseconds_and_begins_anew_with_the_next() -> None:
    loop = SimpleNamespace(iteration=7)
    turn = LoopBudget(loop)
    assert not turn.is_over()
    until = monotonic() + 0.0025
    while monotonic() < until:
        assert loop.iteration == 7
    assert turn.is_over()
    loop.iteration = 8
    assert not turn.is_over()
