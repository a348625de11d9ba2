"""What is wrong with a record is told at the call: which field, what it is, what is expected; and never what
is in it.
"""

from __future__ import annotations

from typing import Any

import pytest

from klife import InvalidRecordType, InvalidRecordValue, KlifeError, Record, RecordTooLarge
from klife.actors.producer.validation import check, checked_headers, checked_topic, too_large_for_buffer

SECRET = "s3cr3t"


WRONG_TYPES: list[tuple[dict[str, Any], str]] = [
    ({"value": SECRET}, "Record.value is a str"),
    ({"value": bytearray(SECRET.encode())}, "Record.value is a bytearray"),
    ({"value": memoryview(SECRET.encode())}, "Record.value is a memoryview"),
    ({"value": {SECRET: SECRET}}, "Record.value is a dict"),
    ({"key": SECRET}, "Record.key is a str"),
    ({"key": 5}, "Record.key is an int"),
    ({"topic": b"t"}, "Record.topic is a bytes"),
    ({"topic": None}, "Record.topic is a NoneType"),
    ({"headers": {SECRET: b"x"}}, "Record.headers is a dict"),
    ({"headers": SECRET}, "Record.headers is a str"),
    ({"headers": None}, "Record.headers is a NoneType"),
    ({"headers": [SECRET]}, r"Record.headers\[0\] is a str"),
    ({"headers": [("a", b"1"), (SECRET, b"1", b"2")]}, r"Record.headers\[1\] is a tuple of 3"),
    ({"headers": [(SECRET.encode(), b"1")]}, r"the name of Record.headers\[0\] is a bytes"),
    ({"headers": [("a", SECRET)]}, r"the value of Record.headers\[0\] is a str"),
    ({"timestamp_ms": 1.5}, "Record.timestamp_ms is a float"),
    ({"timestamp_ms": True}, "Record.timestamp_ms is a bool"),
    ({"partition": "0"}, "Record.partition is a str"),
    ({"partition": False}, "Record.partition is a bool"),
]
WRONG_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"topic": ""}, "Record.topic"),
    ({"topic": ".."}, "Record.topic"),
    ({"topic": "a b"}, "Record.topic"),
    ({"topic": "x" * 250}, "1 to 249"),
    ({"headers": [("\ud800", b"")]}, "lone surrogate"),
    ({"timestamp_ms": -1}, "Record.timestamp_ms is -1"),
    ({"timestamp_ms": 2**63}, "Record.timestamp_ms"),
    ({"partition": -1}, "Record.partition is -1"),
]


def record(**fields: Any) -> Record:
    return Record(**{"topic": "t", "value": b"v", **fields})


@pytest.mark.parametrize(("fields", "text"), WRONG_TYPES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_type_is_a_type_error_that_names_field_and_type_and_shows_no_contents(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRecordType, match=text) as caught:
        check(record(**fields))
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, KlifeError)
    assert "expected" in str(caught.value)
    assert "not queued" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("fields", "text"), WRONG_VALUES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_impossible_value_is_a_value_error_that_names_the_field(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRecordValue, match=text) as caught:
        check(record(**fields))
    assert isinstance(caught.value, ValueError)
    assert "not queued" in str(caught.value)


@pytest.mark.parametrize("something", [None, 5, b"v", {"topic": "t"}, ("t", b"v")], ids=repr)
def test_what_is_no_record_is_told_apart(something: object) -> None:
    with pytest.raises(InvalidRecordType, match=rf"expected a klife.Record, got an? {type(something).__name__};"):
        check(something)


def test_in_a_batch_the_record_is_named_by_its_place() -> None:
    with pytest.raises(InvalidRecordType, match=r"^records\[3\]: Record.value is a str"):
        check(record(value="x"), "records[3]")


@pytest.mark.parametrize(
    "fields",
    [
        {"value": None},
        {"value": b""},
        {"key": None},
        {"key": b""},
        {"headers": ()},
        {"headers": []},
        {"headers": [("", None), ("dup", b""), ("dup", b"2")]},
        {"headers": (("ünïcode", b"x"),)},
        {"timestamp_ms": 0},
        {"timestamp_ms": 2**63 - 1},
        {"partition": 0},
        {"topic": "A.b_c-9"},
        {"topic": "x" * 249},
    ],
    ids=repr,
)
def test_what_kafka_allows_is_allowed(fields: dict[str, Any]) -> None:
    check(record(**fields))


def test_headers_become_a_tuple_of_their_own_with_a_bound_of_their_size() -> None:
    headers = [("ü", b"123"), ("a", None)]
    kept, size = checked_headers(record(headers=headers))
    headers.clear()
    assert kept == (("ü", b"123"), ("a", None))
    assert size >= 2 + 3 + 1


def test_a_topic_is_checked_by_itself_too() -> None:
    assert checked_topic("orders") == "orders"


def test_a_record_larger_than_the_whole_buffer_is_told_both_sizes() -> None:
    error = too_large_for_buffer("t", 900, 500)
    assert isinstance(error, RecordTooLarge)
    assert (error.size, error.limit) == (900, 500)
    assert "max_buffered_bytes (500)" in str(error)
