"""Batches whose records are refused before they are queued: their callbacks, and what users' own code raised."""

from __future__ import annotations

import gc
import inspect
import weakref
from threading import get_ident
from typing import Any

import gevent
import pytest

from klife import Client, InvalidRecordType, InvalidRecordValue, ProduceError, Record
from tests.support.scripted_broker import PATIENCE


def test_callbacks_of_refused_batches_that_produce_more_of_them_do_not_call_themselves(client: Client) -> None:
    refused, depths = Record("orders", b"v", partition=2**31), []

    def again(results: list[Record]) -> None:
        assert isinstance(results[0].error, ProduceError)
        depths.append(len(inspect.stack(0)))
        if len(depths) < 1_500:
            client.produce_batch_async([refused], again)

    client.produce_batch_async([refused], again)
    assert depths == [], "not in its caller's greenlet"
    with gevent.Timeout(6 * PATIENCE):
        while len(depths) < 1_500:
            gevent.sleep(0)
    assert len(set(depths)) == 1


def test_a_flush_waits_for_the_callback_of_a_refused_batch_and_so_does_stop(client: Client) -> None:
    seen: list[list[Record]] = []
    refused = Record("orders", b"v", partition=2**31)
    client.produce_batch_async([refused], seen.append)
    client.flush(PATIENCE)
    assert len(seen) == 1
    client.produce_batch_async([refused], lambda results: (client.flush(PATIENCE), seen.append(results)))  # which it may, too
    client.flush(PATIENCE)
    assert len(seen) == 2
    client.produce_batch_async([refused], seen.append)
    client.stop(PATIENCE)
    assert len(seen) == 3


def test_the_callback_of_a_batch_refused_in_another_thread_is_called_at_home(client: Client) -> None:
    called: list[int] = []
    in_thread = gevent.get_hub().threadpool.apply
    in_thread(client.produce_batch_async, ([Record("orders", b"v", partition=2**31)], lambda _results: called.append(get_ident())))
    client.flush(PATIENCE)
    assert called == [get_ident()]


# what users' code raises in a batch


class Picky:
    def partition(self, record: Record, partition_count: int) -> int:
        try:
            return {b"good": 0}[record.key or b""]
        except KeyError:
            raise LookupError("no country has that key") from None


def test_in_a_batch_what_a_partitioner_raises_is_the_cause_and_its_type_is_told(client: Client) -> None:
    delivery = client.produce_batch([Record("orders", b"v", b"good"), Record("orders", b"v", b"bad")], partitioner=Picky())
    good, bad = delivery.get(PATIENCE)
    assert good.error is None
    assert isinstance(bad.error, ProduceError)
    assert type(bad.error.__cause__) is LookupError
    assert str(bad.error) == "records[1]: LookupError: no country has that key"
    with pytest.raises(InvalidRecordValue) as raised:
        client.produce(Record("orders", b"v", partition=2**31))
    (refused,) = client.produce_batch([Record("orders", b"v", partition=2**31)]).get(PATIENCE)
    assert isinstance(refused.error, ProduceError)
    assert type(refused.error.__cause__) is InvalidRecordValue
    assert str(refused.error) == f"records[0]: {raised.value}"


def test_who_raises_such_an_error_is_not_tied_to_the_delivery(client: Client) -> None:
    class Mine:
        pass

    def use() -> Any:
        mine = Mine()
        delivery = client.produce_batch([Record("orders", b"v", b"bad")], partitioner=Picky())
        (result,) = delivery.get(PATIENCE)
        assert result.error is not None
        with pytest.raises(ProduceError):
            raise result.error
        assert delivery.get(PATIENCE)[0].error is not result.error
        return weakref.ref(mine)

    mine = use()
    gc.collect()
    assert mine() is None


def test_what_a_generator_of_records_raises_is_raised(client: Client) -> None:
    def records() -> Any:
        yield Record("orders", b"v")
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        client.produce_batch(records())
    with pytest.raises(InvalidRecordType, match="takes an iterable of Records, got an int"):
        client.produce_batch(5)  # type: ignore[arg-type]
    assert client.status().buffered_bytes == 0
