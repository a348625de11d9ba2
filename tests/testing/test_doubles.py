"""Results that tests make for doubles of their own: they are what a client returns."""

from __future__ import annotations

import pytest

from klife import Client, Delivered, InvalidRecordType, ProduceError, Record
from tests.support.scripted_broker import PATIENCE, ScriptedCluster


def test_a_delivered_record_is_what_a_client_returns() -> None:
    record = Record("orders", b"v", b"k", [("kind", b"order")], partition=0, timestamp_ms=1_700_000_000_000)
    with ScriptedCluster() as cluster, Client.start(cluster.bootstrap_servers) as client:
        result = client.produce(record).get(PATIENCE)
    assert record.delivered() == Record.delivered(record, 0) == result
    assert isinstance(record.delivered(), Delivered)


def test_what_is_not_told_is_the_record_s_own_or_nothing() -> None:
    record = Record("orders", b"v", partition=3)
    assert (record.delivered(7).offset, record.delivered(7).partition, record.delivered(7).timestamp_ms) == (7, 3, None)
    told = Record("orders", b"v").delivered(None, partition=2, timestamp_ms=5)
    assert (told.offset, told.partition, told.timestamp_ms, told.error, told.error_code) == (None, 2, 5, None, 0)
    assert Record("orders", b"v").delivered().partition == 0


def test_a_failed_record_has_its_error() -> None:
    error = ProduceError("no", error_code=29)
    result = Record("orders", b"v").failed(error)
    assert (result.error, result.error_code, result.offset) == (error, 29, None)
    with pytest.raises(InvalidRecordType, match="error is a ValueError; a record fails with a ProduceError"):
        Record("orders", b"v").failed(ValueError())  # type: ignore[arg-type]
