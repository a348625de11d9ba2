"""When what is ready leaves, if callers go on producing: requests of many small batches, and all others."""

from __future__ import annotations

from time import monotonic

from klife import Record
from klife.actors.producer.batcher import Batcher
from tests.support.producer_parts import Parts

PARTITIONS = 400


def parts(**settings: object) -> Parts:
    made = Parts([1] * PARTITIONS, **settings)
    made.partition()
    return made


def produce(made: Parts, records: int, *, size: int = 100, partitions: int = PARTITIONS) -> None:
    """As many `records` of `size` to each of so many partitions."""
    for _ in range(records):
        for partition in range(partitions):
            made.topic.append(Record("t", bytes(size), partition=partition))


def looks(batcher: Batcher, now: float) -> bool:
    """A busy loop has let it wait for a millisecond."""
    return batcher.is_complete(True, True, now)


def test_many_small_batches_wait_while_they_grow_and_callers_go_on() -> None:
    made = parts()
    batcher, now = made.batcher(), monotonic()
    for _ in range(3):
        produce(made, 2)
        assert not looks(batcher, now)
        assert not batcher.is_complete(False, False, now), "the answer to the request before is no reason to hurry, either"
        produce(made, 1)


def test_many_small_batches_leave_when_the_loop_is_idle() -> None:
    made = parts()
    produce(made, 2)
    assert made.batcher().is_complete(True, False, monotonic())


def test_many_small_batches_leave_when_they_grow_no_more() -> None:
    made = parts()
    batcher, now = made.batcher(), monotonic()
    produce(made, 2)
    assert not looks(batcher, now)
    produce(made, 1, partitions=PARTITIONS // 10)
    assert looks(batcher, now), "who waits for these records would wait for others' trickle"


def test_each_request_grows_anew() -> None:
    made = parts()
    batcher, now = made.batcher(), monotonic()
    for _ in range(2):
        produce(made, 2)
        assert not looks(batcher, now)
        for batch in made.taken(batcher, now):
            made.delivered(batch)


def test_many_small_batches_leave_when_the_first_is_ten_milliseconds_old() -> None:
    made = parts()
    produce(made, 2)
    oldest = batcher_first(made.batcher())
    assert not looks(made.batcher(), oldest + 0.009)
    produce(made, 2)
    assert looks(made.batcher(), oldest + 0.0101)


def test_a_full_request_leaves() -> None:
    made = parts(batch_size_bytes=100_000)
    produce(made, 2)
    assert looks(made.batcher(), monotonic())


def test_what_waits_for_a_millisecond_anyway_waits_no_longer() -> None:
    made = parts()
    produce(made, 1, partitions=100)  # less than a request is worth
    assert looks(made.batcher(), monotonic())
    assert not made.batcher().is_complete(False, False, monotonic())


def test_a_few_large_batches_leave_at_once() -> None:
    made = parts()
    produce(made, 50, size=1000, partitions=10)
    assert made.batcher().is_complete(False, False, monotonic())


def test_a_flush_and_records_that_have_lingered_wait_for_no_company() -> None:
    made = parts()
    produce(made, 2)
    made.producer.terms.skip_linger(1)
    assert looks(made.batcher(), monotonic())


def batcher_first(batcher: Batcher) -> float:
    """When the first batch that waits was opened."""
    batch = batcher.ready[0].open
    assert batch is not None
    return batch.created
