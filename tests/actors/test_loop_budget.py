"""Batchers that share the turns of the loop: each has its own, and none waits for ever."""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from time import monotonic
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import ProduceError
from klife.actors.network.call import Call, CallFailed
from klife.actors.producer import request
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.runtime.loop_budget import LoopBudget
from klife.protocol.apis.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from tests.support.producer_parts import Parts
from tests.support.waiting import wait_until

PATIENCE = 30.0
NOT_LEADER_OR_FOLLOWER = 6


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


def refused_by_all(in_flight_request: Any) -> None:
    refused = [PartitionProduceResponse(index=index, error_code=NOT_LEADER_OR_FOLLOWER) for index in range(20)]
    in_flight_request.response = ProduceResponse(responses=[TopicProduceResponse(name="t", partition_responses=refused)])
    in_flight_request.finish()


def connection_lost(in_flight_request: Any) -> None:
    in_flight_request.finish(CallFailed("the connection is lost", sent=True))


def left_out_by_the_broker(in_flight_request: Any) -> None:
    in_flight_request.response = ProduceResponse(responses=[])
    in_flight_request.finish()


@pytest.mark.parametrize("how", [refused_by_all, connection_lost, left_out_by_the_broker])
def test_the_hub_runs_while_many_batches_are_judged(how: Any) -> None:
    parts, judged_in = Parts(leaders=[1] * 20), []
    for partition in range(20):
        parts.batch(1, partition)
    [batcher] = parts.producer.batchers.all.values()
    sent, requests = Event(), []

    def send(in_flight_request: Any, **_settings: Any) -> None:
        requests.append(in_flight_request)
        sent.set()

    def slow(really: Any) -> Any:
        def judge(*arguments: Any) -> Any:
            judged_in.append(gevent.get_hub().loop.iteration)
            until = monotonic() + 0.001
            while monotonic() < until:
                pass
            return really(*arguments)

        return judge

    for name in ("refused", "unanswered"):
        setattr(parts.producer, name, slow(getattr(parts.producer, name)))
    batcher.broker = SimpleNamespace(is_ready=True, send=send)  # type: ignore[assignment]
    metadata: Any = SimpleNamespace(request_refresh=lambda: None, leader_refused=lambda *_: None, leader_hint=lambda *_: None)
    actor = BatcherActor.start(parts.producer, batcher, metadata)
    assert sent.wait(PATIENCE)
    how(requests[0])
    wait_until(lambda: requests[0] not in batcher.calls)
    actor.stop()
    assert len(judged_in) == 20, "each once"
    assert max(Counter(judged_in).values()) <= 4  # a turn begins when it is first asked after, behind one of them
    assert parts.producer.retries == 20


def test_records_that_no_id_is_given_for_fail_in_several_turns() -> None:
    parts = Parts([1] * 4)
    parts.producer.judging = SimpleNamespace(is_over=cycle([False, True]).__next__)  # type: ignore[assignment]
    batches = [parts.batch(1, partition) for partition in range(4)]
    more = [parts.producer.fail_unsent(lambda *_: ProduceError("no id")) for _ in range(3)]
    assert more == [True, True, False]
    assert all(batch.is_set for batch in batches)


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
