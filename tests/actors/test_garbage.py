"""What a record leaves behind: nothing, also when it failed and somebody raised its error; and the collector
has little to do.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import gevent
import pytest

import klife
from klife import Delivery, ProduceError, Record
from klife.actors.producer.batch import Batch
from klife.record import Delivered
from tests.support.producer_parts import Parts

OURS = "topic-of-these-tests"


@pytest.fixture(autouse=True)
def no_collection_by_itself() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def failed(count: int) -> Batch:
    parts = Parts()
    batch = parts.sent(count)
    parts.failed(batch, ProduceError("refused", topic=OURS, partition=0, error_code=87))
    parts.producer.deadline_timer.stop()  # the loop knows it for another second
    return batch


def errors_left() -> int:
    """How many there are, each batch's own among them: batches themselves the collector may not know. Those of
    other tests may go at any time.
    """
    gevent.sleep(0)  # callbacks that wait for the loop know theirs
    gc.collect()
    gc.collect()  # the first lets go of deliveries, and these of their batches
    return sum(type(found) is ProduceError and found.topic == OURS for found in gc.get_objects())


def get(delivery: Delivery) -> None:
    delivery.get()


def raise_exception(delivery: Delivery) -> None:
    error = delivery.exception()
    assert error is not None
    raise error


def raise_results_error(delivery: Delivery) -> None:
    result = delivery._batch.result(delivery._index)
    assert result.error is not None
    raise result.error


@pytest.mark.parametrize("fail", [get, raise_exception, raise_results_error])
def test_an_error_that_was_raised_ties_no_batch_to_the_frames_it_went_through(fail: Callable[[Delivery], None]) -> None:
    def let_it_fail() -> ProduceError:
        delivery = Delivery(failed(3), 1)
        try:
            fail(delivery)
        except ProduceError as error:
            return error
        raise AssertionError

    errors = [let_it_fail() for _ in range(5)]
    assert all(error.error_code == 87 and str(error) == "refused" for error in errors)
    assert errors_left() >= 5
    errors.clear()
    assert errors_left() == 0


def test_greenlets_that_raise_the_error_of_one_batch_each_have_their_own() -> None:
    batch = failed(2)
    errors = [Delivery(batch, index).exception() for index in (0, 1, 1)]
    assert len({id(error) for error in errors}) == 3
    assert len({repr(error) for error in errors}) == 1


def test_the_garbage_collector_does_not_look_at_records_batches_and_deliveries_of_the_compiled_core() -> None:
    batch = failed(1)
    there_are_many_of = [Record("t", b"v"), Delivered("t", b"v", None, (), 0, 0, 0), Delivery(batch, 0), batch]
    assert {gc.is_tracked(each) for each in there_are_many_of} == {not klife.compiled}


def test_the_compiled_core_does_not_have_the_records_of_a_batch_visited() -> None:
    batch = Parts().batch(3)
    batch.terms.call_when_settled(batch, 1, lambda _record: None)
    assert gc.is_tracked(batch.callbacks)
    assert gc.is_tracked(batch.fields) == gc.is_tracked(batch.indices) == (not klife.compiled)
