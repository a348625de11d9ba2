"""Whatever brokers, connections, leaders, deadlines and kills do: what a delivery says is what the log shows,
in produce order.

The real `ProducerActor` and `BatcherActor` (their code, run turn by turn without greenlets), `Producer`,
`Batcher` and `Partition` against the brokers of `model_cluster`. Hypothesis looks for the sequence of events
that breaks a promise:

- delivered: in the log exactly once, at the offset and with the time the delivery tells, if it tells an
  offset;
- failed and not possibly persisted: not in the log, now or later;
- possibly persisted: in the log once or not at all;
- the log is in the order of `produce`, whatever was retried, renumbered, split, moved or expired;
- when the trouble is over, everything is settled: nothing waits for a wake-up that never comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import get_hub
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from klife.actors.producer import batcher_actor, deadline_timer, producer, producer_actor, topic
from klife.actors.producer.batch import Batch
from klife.actors.producer.batcher import Batcher
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.producer import Producer
from klife.actors.producer.producer_actor import ProducerActor
from klife.actors.runtime.actor import GeventActor
from klife.record import Record
from klife_supervision import ExitReason
from tests.support.model_cluster import GUILTY, NO_LEADER, TOPIC, ModelCluster
from tests.support.producer_parts import a_producer, sent_by_now

PARTITIONS = 2
# (code, whether the batch is written all the same). 7 and 20 come after writing or not; the others never do.
REFUSALS = [(19, False), (7, False), (7, True), (20, True), (2, False), (5, False), (13, True), (29, False), (90, False), (-1, True)]
refusals = st.dictionaries(st.integers(0, PARTITIONS - 1), st.sampled_from(REFUSALS), max_size=PARTITIONS)
nodes = st.sampled_from([1, 2])


class DeliveryModel(RuleBasedStateMachine):
    idempotent = True

    @initialize(
        max_in_flight=st.integers(1, 5),
        batchers=st.integers(1, 2),
        record_limit=st.sampled_from([100, 100, 3, 1]),
        start_sequence=st.sampled_from([0, 2**31 - 3]),
    )
    def start(self, max_in_flight: int, batchers: int, record_limit: int, start_sequence: int) -> None:
        self.patches = pytest.MonkeyPatch()
        # A clock by which nothing is ever due, and that goes on with events and not with looks, and no timer of the loop: how
        # fast the machine is must not matter, nor the timers that other examples have left.
        self.now = 0.0
        for module in (batcher_actor, deadline_timer, producer, producer_actor, topic):
            self.patches.setattr(module, "monotonic", lambda: self.now)
        self.patches.setattr(deadline_timer.DeadlineTimer, "_set", lambda *_: None)
        self.cluster: Any = ModelCluster(PARTITIONS, record_limit)
        self.producer = Producer(
            a_producer(
                batch_size_bytes=400,
                delivery_timeout=1000.0,
                retry_backoff=0.0,
                retry_backoff_max=0.0,
                max_in_flight=max_in_flight if self.idempotent else 1,
                batchers_count=batchers,
                idempotent=self.idempotent,
            ),
            BufferPool(10_000_000, block=False),
            get_hub(),
            1.0,
            self.cluster.broker,
            lambda *_: None,
        )
        self.producer.budget = SimpleNamespace(is_over=lambda: False)  # no loop runs
        self.producer.hub_watch.due = 1e12  # nor is it let run
        self.producer.judging = SimpleNamespace(is_over=cycle([True, False, False]).__next__)  # and what is judged comes in parts
        self.cluster.on_change.append(self.producer.wake)
        self.batchers: dict[Batcher, BatcherActor] = {}
        self.produced: list[list[tuple[bytes, Batch, int]]] = [[] for _ in range(PARTITIONS)]
        self.producer_actor = self.start_producer()
        self.topic = self.producer.routing.add_topic(self.cluster.snapshot.topics[TOPIC], _NoPartitioner())
        self.turns()
        if self.idempotent and start_sequence:  # numbers are about to wrap
            self.cluster.answer(1, {})
            self.turns()
            for partition in range(PARTITIONS):
                numbered = self.topic.partition(partition)
                numbered.identity, numbered.next_sequence = self.producer.identity, start_sequence

    def start_producer(self) -> ProducerActor:
        producer = ProducerActor(self.producer, self.cluster, self.start_batcher, lambda _lane: None)
        producer.on_start()
        return producer

    def start_batcher(self, state: Batcher) -> None:
        state.has_actor = True
        batcher = self.batchers[state] = BatcherActor(self.producer, state, self.cluster)
        batcher.on_start()

    # events

    @rule(partition=st.integers(0, PARTITIONS - 1), count=st.integers(1, 4), guilty=st.sampled_from([False, False, False, True]))
    def produce(self, partition: int, count: int, guilty: bool) -> None:
        for number in range(count):
            value = b"%s%d" % (GUILTY if guilty and number == 1 else b"", len(self.produced[partition]))
            self.now += 1e-6
            time = 1_000 + len(self.produced[partition]) * 7 % 10  # rarely its batch's largest
            batch = self.topic.append(Record(TOPIC, value, partition=partition, timestamp_ms=time))._batch
            self.produced[partition].append((value, batch, batch.count - 1))

    @rule(partition=st.integers(0, PARTITIONS - 1), batches=st.integers(1, 3))
    def send(self, partition: int, batches: int) -> None:
        """Several batches leave one after another, as far as they may: the way to have more than one in
        flight.
        """
        for _ in range(batches):
            self.produce(partition, 2, False)
            self.turns()

    @rule(partition=st.integers(0, PARTITIONS - 1), then_restart=st.booleans())
    def lose_answers(self, partition: int, then_restart: bool) -> None:
        """All is well; then what is sent is written, and the connection breaks before any answer."""
        node = max(self.cluster.partitions[partition].leader, 1)
        for _ in range(5):
            while self.cluster.brokers[node].calls:
                self.cluster.answer(node, {})
            self.turns()
        self.send(partition, 3)
        self.disconnect(node, 3, False)
        if then_restart:
            self.restart(partition)
        self.reconnect(node)

    @rule()
    def turn(self) -> None:
        """The actors that were woken run once."""
        self.now += 1e-6
        gevent.sleep(0)  # what they scheduled for the loop's next turn
        if any(actor.actor_inbox.gathering for actor in self.actors()):
            sent_by_now()
        for actor in list(self.actors()):
            if actor.actor_inbox.woken:
                actor.actor_inbox.woken = False
                actor.on_wake()

    @rule()
    def turns(self) -> None:
        """They run until there is nothing to do for now."""
        for _ in range(50):
            self.turn()
            if not any(actor.actor_inbox.woken or actor.actor_inbox.gathering for actor in self.actors()):
                break

    @precondition(lambda self: any(broker.calls for broker in self.cluster.brokers.values()))
    @rule(node=nodes, refused=refusals)
    def answer(self, node: int, refused: dict[int, tuple[int, bool]]) -> None:
        if not self.cluster.brokers[node].calls:
            node = 3 - node
        self.cluster.answer(node, refused)

    @rule(node=nodes, handled=st.integers(0, 3), late=st.booleans())
    def disconnect(self, node: int, handled: int, late: bool) -> None:
        self.cluster.disconnect(node, handled, late and self.idempotent)

    @rule(node=nodes)
    def reconnect(self, node: int) -> None:
        self.cluster.brokers[node].reconnect()

    @rule(partition=st.integers(0, PARTITIONS - 1), leader=st.sampled_from([1, 2, NO_LEADER]))
    def move(self, partition: int, leader: int) -> None:
        self.cluster.move(partition, leader)

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def restart(self, partition: int) -> None:
        self.cluster.restart(partition)

    @rule()
    def refresh(self) -> None:
        self.cluster.refresh()

    @precondition(lambda self: self.producer.deadlines.pending)
    @rule(count=st.integers(1, 3))
    def expire(self, count: int) -> None:
        """The delivery timeout of the oldest batches passes."""
        oldest = list(self.producer.deadlines.pending)[:count]
        self.producer.expire(oldest[-1].created + self.producer.settings.delivery_timeout)

    @rule()
    def close_open_batches(self) -> None:
        """The second passes after which an open batch is closed, sent or not."""
        if self.producer.deadlines.pending:
            self.producer.deadlines.next_look(next(reversed(self.producer.deadlines.pending)).created + 1.0)

    @rule(which=st.integers(0, 3))
    def kill_batcher(self, which: int) -> None:
        if self.batchers:
            state = list(self.batchers)[which % len(self.batchers)]
            retire(self.batchers[state])
            self.start_batcher(state)

    @rule()
    def kill_producer(self) -> None:
        retire(self.producer_actor)
        self.producer_actor = self.start_producer()

    def actors(self) -> Iterator[GeventActor]:
        yield self.producer_actor
        yield from self.batchers.values()

    # promises

    @invariant()
    def the_log_shows_what_deliveries_say(self) -> None:
        for partition, produced in enumerate(getattr(self, "produced", [])):
            log, times = self.cluster.partitions[partition].log, self.cluster.partitions[partition].times
            once = list(dict.fromkeys(log))
            assert not self.idempotent or len(once) == len(log), f"written twice: {log}"
            assert once == sorted(once, key=lambda value: int(value.removeprefix(GUILTY))), f"out of order: {log}"
            for value, batch, index in produced:
                if batch.is_set:
                    result = batch.result(index)
                    if result.error is None and result.offset is None:
                        assert value in log, f"{value!r} delivered, but {log}"
                    elif result.error is None:
                        assert log[result.offset : result.offset + 1] == [value], f"{value!r} delivered at {result.offset}, but {log}"
                        assert times[result.offset] == result.timestamp_ms, f"{value!r} has another time in the log"
                    elif not result.error.possibly_persisted:
                        assert value not in log, f"{value!r} failed ({result.error}), but {log}"

    @invariant()
    def the_accounts_balance(self) -> None:
        if hasattr(self, "produced"):
            unsettled = [batch for produced in self.produced for _, batch, _ in produced if not batch.is_set]
            used = sum(batch.size for batch in set(unsettled))
            assert self.producer.pool.used == used
            created = [batch.created for batch in self.producer.deadlines.pending]
            assert created == sorted(created), "the clock is not in the order of deadlines"

    def teardown(self) -> None:
        """The trouble ends, and with it every delivery."""
        if not hasattr(self, "patches"):
            return
        try:
            if hasattr(self, "produced"):
                self.check_the_end()
        finally:
            self.patches.undo()

    def check_the_end(self) -> None:
        for partition in range(PARTITIONS):
            self.cluster.move(partition, 1 + partition % 2)
        for _ in range(400):
            for node, broker in self.cluster.brokers.items():
                broker.reconnect()
                while broker.calls:
                    self.cluster.answer(node, {})
            if self.cluster.refresh_wanted:
                self.cluster.refresh()
            self.producer_actor._look_at = 0.0
            for actor in self.actors():  # time passes: what set itself a timer wakes
                if actor._timer is not None and actor._timer.active:
                    actor._timer.stop()
                    actor.actor_inbox.woken = True
            self.turns()
            self.the_log_shows_what_deliveries_say()
            if not self.producer.deadlines.pending:
                break
        unsettled = [(each.topic, each.partition_id) for each in set(self.producer.deadlines.pending.values())]
        for actor in self.actors():
            retire(actor)
        assert not unsettled, f"still waiting when all is well: {unsettled}"
        for node in self.cluster.brokers:
            self.cluster.read_late(node)
        self.the_log_shows_what_deliveries_say()
        self.the_accounts_balance()
        assert self.producer.pool.used == 0


def test_a_broker_that_was_restarted_forgot_all_but_the_last_batch() -> None:
    machine = DeliveryModel()
    machine.start(max_in_flight=5, batchers=1, record_limit=100, start_sequence=0)
    machine.cluster.answer(1, {})
    machine.send(1, 1)
    machine.cluster.answer(1, {})
    machine.send(1, 3)
    machine.disconnect(1, handled=3, late=False)
    machine.restart(1)
    machine.teardown()
    assert len(machine.cluster.partitions[1].log) == 8
    assert all(batch.result(index).error is None for _, batch, index in machine.produced[1])


class _NoPartitioner:
    def partition(self, record: Record, partition_count: int) -> int:
        raise AssertionError("every record names its partition")


def retire(actor: GeventActor) -> None:
    """What is left to do for an actor that was killed."""
    actor.on_exit(ExitReason.killed())
    if actor._timer is not None:
        actor._timer.stop()
        actor._timer.close()
        actor._timer = None


class PlainDeliveryModel(DeliveryModel):
    """Without idempotence what is repeated may be written twice, right behind itself; everything else holds."""

    idempotent = False


_settings = settings(max_examples=200, stateful_step_count=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
TestDeliveryModel = DeliveryModel.TestCase
TestDeliveryModel.settings = _settings
TestPlainDeliveryModel = PlainDeliveryModel.TestCase
TestPlainDeliveryModel.settings = _settings
