"""`Batcher`: who goes next, what fits into a request, and what waits for a time."""

from __future__ import annotations

from time import monotonic

from klife import Record
from klife.actors.producer.batch import Batch
from klife.actors.producer.batcher import Batcher
from klife.actors.runtime.inbox import Inbox
from tests.support.producer_parts import Parts

NOW = 1e12
NEVER = float("inf")


def batcher_of(parts: Parts, node: int = 1) -> Batcher:
    parts.partition()
    return parts.batcher(node)


def partitions(batches: list[Batch]) -> list[int]:
    return [batch.partition_id for batch in batches]


def test_a_request_has_one_batch_of_each_partition_that_has_any() -> None:
    parts = Parts([1] * 4)
    for partition in (2, 0, 2, 3):
        parts.batch(partition=partition)
    batches = parts.taken(batcher_of(parts), NOW)
    assert partitions(batches) == [2, 0, 3]


def test_partitions_take_turns_when_a_request_is_full() -> None:
    parts = Parts([1] * 4, batch_size_bytes=200, idempotent=False)
    batcher = batcher_of(parts)
    for _ in range(2):
        for partition in range(4):
            parts.batch(partition=partition, size=50)
    served = []
    for _ in range(4):
        batches = parts.taken(batcher, NOW)
        served.append(partitions(batches))
        for batch in batches:
            parts.delivered(batch)
    assert served == [[0, 1], [2, 3], [0, 1], [2, 3]]
    assert parts.taken(batcher, NOW) == []


def test_a_batch_over_the_limit_travels_alone() -> None:
    parts = Parts([1] * 2, batch_size_bytes=100)
    parts.batch(partition=0, size=500)
    parts.batch(partition=1)
    batcher = batcher_of(parts)
    assert partitions(parts.taken(batcher, NOW)) == [0]
    assert partitions(parts.taken(batcher, NOW)) == [1]


def test_a_lingering_batch_waits_in_the_heap_and_a_flush_takes_it_at_once() -> None:
    parts = Parts(linger=5.0)
    batcher = batcher_of(parts)
    batch = parts.topic.append(Record("t", b"v", partition=0))._batch
    batcher.promote(batch.created + 1)
    assert parts.taken(batcher, batch.created + 1) == []
    assert batcher.next_due() == batch.created + 5
    batcher.promote(batch.created + 5)
    assert parts.taken(batcher, batch.created + 5) == [batch]
    again = parts.topic.append(Record("t", b"v", partition=0))._batch
    parts.delivered(batch)
    parts.producer.skip_linger(1)
    batcher.promote(again.created)
    assert parts.taken(batcher, again.created) == [again]


def test_what_lingers_travels_along_with_what_has_lingered_and_not_with_an_answer() -> None:
    parts = Parts([1] * 3, linger=5.0)
    batcher = batcher_of(parts)
    first, second = (parts.topic.append(Record("t", b"v", partition=number))._batch for number in (0, 1))
    backing_off = parts.partition(2)
    third = parts.topic.append(Record("t", b"v", partition=2))._batch
    backing_off.retry_at = first.created + 60
    batcher.promote(first.created + 5)
    assert parts.taken(batcher, first.created + 5) == [first, second]
    assert not batcher.ready
    batcher.promote(third.created + 59)
    assert parts.taken(batcher, third.created + 59) == []
    # What an answer finds open goes on lingering, as the heap knows.
    again = parts.topic.append(Record("t", b"v", partition=0))._batch
    parts.delivered(first)
    parts.producer.batchers.offer_again([(parts.partition(0), first)])
    assert not batcher.ready
    batcher.promote(again.created + 5)
    assert parts.taken(batcher, again.created + 5) == [again]


def test_what_has_lingered_while_a_request_was_unanswered_leaves_after_the_answer() -> None:
    parts = Parts(linger=0.001)
    batcher = batcher_of(parts)
    first = parts.topic.append(Record("t", b"v", partition=0))._batch
    batcher.promote(NOW)
    assert parts.taken(batcher, NOW) == [first]
    second = parts.topic.append(Record("t", b"v", partition=0))._batch
    batcher.promote(NOW)
    assert parts.taken(batcher, NOW) == []
    while monotonic() < second.created + 0.001:
        pass
    parts.delivered(first)
    parts.producer.batchers.offer_again([(parts.partition(0), first)])
    assert parts.taken(batcher, NOW) == [second]


def test_a_full_batch_does_not_linger() -> None:
    parts = Parts(linger=5.0, batch_size_bytes=200)
    first = parts.topic.append(Record("t", b"x" * 100, partition=0))._batch
    second = parts.topic.append(Record("t", b"x" * 100, partition=0))._batch
    assert first is not second
    assert parts.taken(batcher_of(parts), first.created) == [first]


def test_a_partition_that_backs_off_is_promoted_at_its_time() -> None:
    parts = Parts()
    batcher = batcher_of(parts)
    parts.batch()
    (batch,) = parts.taken(batcher, NOW)
    parts.refused(batch, 19)
    parts.partition().retry_at = NOW + 7
    batcher.offer(parts.partition())
    assert parts.taken(batcher, NOW) == []
    assert batcher.next_due() == NOW + 7
    batcher.promote(NOW + 6)
    assert parts.taken(batcher, NOW + 6) == []
    batcher.promote(NOW + 7)
    assert parts.taken(batcher, NOW + 7) == [batch]
    assert batcher.next_due() == NEVER


def test_a_partition_that_waits_for_an_answer_costs_nothing_until_it_comes() -> None:
    parts = Parts()
    batcher = batcher_of(parts)
    parts.batch()
    (first,) = parts.taken(batcher, NOW)
    second = parts.batch()
    assert parts.taken(batcher, NOW) == []
    assert not batcher.ready
    assert batcher.next_due() == NEVER
    parts.delivered(first)
    parts.producer.batchers.offer(parts.partition())
    assert parts.taken(batcher, NOW) == [second]


def test_a_partition_that_moved_away_is_passed_over() -> None:
    parts = Parts([1, 1])
    old = batcher_of(parts)
    moved, stayed = parts.batch(partition=0), parts.batch(partition=1)
    parts.apply([2, 1])
    assert parts.taken(old, NOW) == [stayed]
    assert parts.drained(NOW, 2) == [moved]


def test_one_that_moved_away_and_back_is_served_once() -> None:
    parts = Parts([1])
    batcher = batcher_of(parts)
    batch = parts.batch()
    parts.apply([2])
    parts.apply([1])
    assert parts.taken(batcher, NOW) == [batch]
    assert parts.drained(NOW, 2) == []


def test_partitions_are_spread_over_the_batchers_of_a_broker() -> None:
    parts = Parts([1] * 40, batchers_count=4)
    for partition in range(40):
        parts.partition(partition)
    assert set(parts.producer.batchers.all) == {(1, index) for index in range(4)}
    counts = [
        sum(partition.served_by is batcher for partition in parts.topic.partitions if partition)
        for batcher in parts.producer.batchers.all.values()
    ]
    assert counts == [10] * 4


def waits_for_an_idle_loop(parts: Parts, batcher: Batcher) -> bool:
    """Whether the next request does: of one record, which is delivered at once."""
    inbox = batcher.inbox
    assert inbox is not None
    parts.batch()
    waits = inbox._idle is not None and inbox._idle.active
    inbox.park()
    assert inbox.idle
    inbox.woken = inbox.idle = False
    (batch,) = parts.taken(batcher, NOW)
    batcher.request_leaves(batch.created, 1)
    parts.delivered(batch)
    return waits


def test_requests_wait_for_an_idle_loop_only_as_long_as_that_brings_them_company() -> None:
    parts = Parts()
    batcher = batcher_of(parts)
    batcher.inbox = Inbox()
    first = [waits_for_an_idle_loop(parts, batcher) for _ in range(100)]
    assert first == [True] * 16 + [False] * 84
    batcher.request_leaves(NOW, 1)
    batcher.calls.add("without an answer")
    parts.batch()  # right behind it
    batcher.calls.clear()
    parts.delivered(*parts.taken(batcher, NOW))
    then = [waits_for_an_idle_loop(parts, batcher) for _ in range(100)]
    assert then == [True] * 32 + [False] * 68


def test_the_more_often_a_request_left_too_soon_the_longer_they_wait_again() -> None:
    parts = Parts()
    batcher = batcher_of(parts)
    batcher.inbox = Inbox()
    waited = []
    for _ in range(9):
        waited.append(0)
        while waits_for_an_idle_loop(parts, batcher):
            waited[-1] += 1
        batcher.request_leaves(NOW, 2)  # of several who produce at once
    assert waited == [16, 32, 64, 128, 256, 512, 1024, 1024, 1024]
