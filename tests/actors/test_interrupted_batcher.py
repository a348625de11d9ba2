"""A batcher whose actor is ended by a signal handler's exception, at each place where one may be raised: its
successor ends every delivery, once, and nothing stays taken.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from itertools import count
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

import klife
from klife import Record
from klife.actors.network.call import CallFailed
from klife.actors.producer.batch import Batch
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.producer.buffer_pool import Claim
from klife.actors.producer.compressed_ahead import WORTH_IT
from klife.actors.producer.request import InFlightRequest
from klife.protocol.apis.produce import BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from klife.protocol.codecs import CODECS
from klife.protocol.error_codes import ErrorCode
from klife.protocol.produce_wire import PlainAnswer
from tests.support.interruptions import Interrupted, at_place
from tests.support.model_cluster import ModelBroker
from tests.support.producer_parts import Parts
from tests.support.scripted_broker import PATIENCE

LOST = object()


class Broker(ModelBroker):
    def fail(self, _why: str) -> None:
        self.calls.clear()


class Scene:
    """A topic of two partitions, with two records each that wait to leave; one is called back, one is waited
    for. If they are `compressed`, each has a batch of its own, of which the second is compressed ahead.
    """

    def __init__(self, *, compressed: bool = False) -> None:
        settings = {"codec": CODECS["snappy"], "batch_size_bytes": 3 * WORTH_IT, "max_in_flight": 1} if compressed else {}
        filling = bytes(2 * WORTH_IT) if compressed else b""
        self.parts = Parts([1, 1], retry_backoff=0.0, retry_backoff_max=0.0, **settings)
        self.parts.brokers[1] = Broker(1)
        self.parts.producer.budget = self.parts.producer.judging = SimpleNamespace(
            is_over=lambda: False
        )  # all of it is one turn of the loop
        self.pool = self.parts.producer.pool
        self.metadata: Any = SimpleNamespace(request_refresh=lambda: None, leader_refused=lambda *_: None, leader_hint=lambda *_: None)
        self.called: list[Record] = []
        self.batches: list[Batch] = []
        self.claim: Claim | None = None
        for partition in (0, 1):
            for number in (0, 1):
                callback = self.called.append if partition == 1 else None
                self.append(Record("t", b"%d" % number + filling, partition=partition), callback)
        self.waiter = gevent.spawn(self.batches[0].wait, PATIENCE)
        gevent.sleep(0)

    def append(self, record: Record, callback: Any = None) -> None:
        self.batches.append(self.parts.topic.append(record, None, None, True, None, 0, False, callback))

    def wait_for_room(self) -> None:
        """Somebody waits until all bytes are free."""
        pool = self.pool
        pool.block = True
        self.claim = Claim(pool.limit)
        self.taking = gevent.spawn(pool.take, pool.limit, 1e12, PATIENCE, self.claim)
        gevent.sleep(0)

    def actor(self) -> BatcherActor:
        actor = BatcherActor(self.parts.producer, self.parts.batcher(), self.metadata)
        actor.on_start()
        return actor

    def work(self, actor: BatcherActor, answer: Any) -> None:
        """Send a request, and judge its `answer`."""
        self.look(actor)
        tracing = sys.gettrace()
        sys.settrace(None)  # what a connection does is not what is interrupted here
        self.answer(answer)
        sys.settrace(tracing)
        self.look(actor)

    @staticmethod
    def look(actor: BatcherActor) -> None:
        actor.actor_inbox.idle = True
        actor.on_wake()

    def answer(self, answer: Any) -> None:
        calls, self.parts.brokers[1].calls = self.parts.brokers[1].calls, []
        for call in calls:
            assert isinstance(call, InFlightRequest)
            if answer is LOST:
                call.finish(CallFailed("lost", sent=True))
            else:
                call.response = all_written(call) if answer is None else answer
                call.finish()

    def check(self) -> None:
        actor = self.actor()
        producer, records = self.parts.producer, len(self.batches)
        for _ in range(20):
            settled = not producer.deadlines.pending
            self.work(actor, None)
            if settled:  # and once more, for what is left to be put down
                break
        assert not producer.deadlines.pending
        assert all(batch.is_set for batch in self.batches)
        assert self.waiter.get(timeout=PATIENCE)
        assert producer.callbacks.wait_for(list(dict.fromkeys(self.batches)), gevent.get_hub().loop.now() + 1e12)
        if self.claim is not None:
            self.taking.get(timeout=PATIENCE)
            self.pool.give(self.pool.limit)
        assert [bytes(record.value or b"")[:1] for record in self.called] == [b"0", b"1"]
        assert producer.settlement.delivered_records + producer.settlement.failed_records == records
        assert self.pool.used == 0
        assert not self.parts.batcher().calls
        for partition in (self.parts.partition(0), self.parts.partition(1)):
            assert not partition.in_flight
            assert not partition.listed
        self.append(Record("t", b"one more", partition=0))
        self.append(Record("t", b"one more", partition=1))
        for _ in range(3):
            self.work(actor, None)
        assert all(batch.is_set and batch.error is None for batch in self.batches[-2:])
        producer.deadline_timer.stop()  # those of hundreds of scenes would run during the next tests


def all_written(call: InFlightRequest) -> PlainAnswer:
    return PlainAnswer([("t", [(batch.partition_id, 7, -1) for _, batch in call.batches])])


def refused(code: int, *bad: int) -> ProduceResponse:
    """Partition 0 is written, and partition 1 refused."""
    errors = [BatchIndexAndErrorMessage(batch_index=index) for index in bad]
    answers = [
        PartitionProduceResponse(index=0, error_code=0, base_offset=7),
        PartitionProduceResponse(index=1, error_code=code, base_offset=-1, record_errors=errors),
    ]
    return ProduceResponse(responses=[TopicProduceResponse(name="t", partition_responses=answers)])


ANSWERS = {
    "written": None,
    "lost": LOST,
    "refused for good": refused(ErrorCode.TOPIC_AUTHORIZATION_FAILED),
    "refused for now": refused(ErrorCode.NOT_LEADER_OR_FOLLOWER),
    "too large": refused(ErrorCode.MESSAGE_TOO_LARGE),
    "one record refused": refused(ErrorCode.INVALID_RECORD, 0),
    "left out": PlainAnswer([("t", [(0, 7, -1)])]),
}

if not klife.compiled:  # where signal handlers are called in the middle

    @pytest.mark.parametrize("somebody_waits_for_room", [False, True])
    @pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
    def test_what_is_raised_anywhere_loses_nothing(answer: Any, somebody_waits_for_room: bool) -> None:
        places = interrupted_everywhere(answer, somebody_waits_for_room=somebody_waits_for_room)
        assert places > 100, "there are places"

    @pytest.mark.parametrize("answer", [None, LOST], ids=["written", "lost"])
    def test_what_is_raised_anywhere_while_batches_are_compressed_ahead_loses_nothing(answer: Any) -> None:
        assert interrupted_everywhere(answer, compressed=True) > 200, "there are more places"


def interrupted_everywhere(answer: Any, *, somebody_waits_for_room: bool = False, compressed: bool = False) -> int:
    """How many places there are, at each of which a scene was interrupted."""
    where: list[str] = []

    def interrupt() -> None:
        where[:] = traceback.format_stack()[-4:-2]
        raise Interrupted

    for number in count():
        scene = Scene(compressed=compressed)
        actor = scene.actor()
        if somebody_waits_for_room:
            scene.wait_for_room()
        with at_place(number, interrupt) as ran, suppress(Interrupted):
            scene.work(actor, answer)
        try:
            scene.check()
        except BaseException as error:
            error.add_note(f"raised at place {number}:\n{''.join(where)}")
            raise
        if not ran[0]:
            break
    return number
