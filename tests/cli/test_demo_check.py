"""The proof at the end of `klife demo` is one: whatever is wrong with the log is found and named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from klife.cli import demo_check
from klife.cli.demo_check import compare
from klife.cli.demo_load import Place, key_of, number_in, value_of
from klife.errors import ProduceError
from klife.record import Record


class Found(Record):
    """A record as it was read from a log."""

    __slots__ = ("offset",)

    def __init__(self, topic: str, value: bytes | None, key: bytes | None, partition: int, offset: int) -> None:
        super().__init__(topic, value, key, partition=partition)
        self.offset = offset


Log = list[Record]


def in_log(number: int, offset: int, partition: int = 0, topic: str = "orders", value: bytes | None = None) -> Record:
    return Found(topic, value_of(number) if value is None else value, key_of(number), partition, offset)


def a_log() -> Log:
    return [in_log(number, number) for number in range(4)]


QUEUED = list(range(4))
PLACES = {number: Place("orders", 0, number) for number in range(4)}


def test_a_log_that_holds_exactly_what_was_confirmed_has_no_problems() -> None:
    assert compare(QUEUED, PLACES, {}, a_log()) == {}


def swap_two_records(log: Log) -> None:
    log[1:3] = [in_log(2, 1), in_log(1, 2)]


@pytest.mark.parametrize(
    ("spoil", "problems"),
    [
        (lambda log: log.pop(), {demo_check.MISSING: 1}),
        (lambda log: log.clear(), {demo_check.MISSING: 4}),
        (lambda log: log.append(in_log(3, 4)), {demo_check.TWICE: 1}),
        (lambda log: log.append(in_log(4, 4)), {demo_check.UNEXPECTED: 1}),
        (lambda log: log.insert(0, in_log(0, 0, value=b"another's")), {demo_check.ALTERED: 1}),
        (lambda log: log.__setitem__(2, in_log(2, 2, value=value_of(2)[:-1] + b"!")), {demo_check.ALTERED: 1, demo_check.MISSING: 1}),
        (lambda log: log.__setitem__(3, in_log(3, 4)), {demo_check.ELSEWHERE: 1}),
        (lambda log: log.__setitem__(3, in_log(3, 3, partition=1)), {demo_check.ELSEWHERE: 1}),
        (lambda log: log.__setitem__(3, in_log(3, 3, topic="payments")), {demo_check.ELSEWHERE: 1}),
        (swap_two_records, {demo_check.ELSEWHERE: 2, demo_check.OUT_OF_ORDER: 1}),
    ],
)
def test_each_thing_that_can_be_wrong_is_named(spoil: Callable[[Log], object], problems: dict[str, int]) -> None:
    log = a_log()
    spoil(log)

    assert compare(QUEUED, PLACES, {}, log) == problems


def test_the_order_is_that_in_which_the_client_took_the_records() -> None:
    places = {0: Place("orders", 0, 1), 1: Place("orders", 0, 0)}
    log = [in_log(1, 0), in_log(0, 1)]

    assert compare([1, 0], places, {}, log) == {}
    assert compare([0, 1], places, {}, log) == {demo_check.OUT_OF_ORDER: 1}


def test_a_failed_record_may_be_in_the_log_only_where_its_fate_was_unknown() -> None:
    unknown, certain = ProduceError("timed out", possibly_persisted=True), ProduceError("refused")
    queued = [*QUEUED, 4]
    log = [*a_log(), in_log(4, 4)]

    assert compare(queued, PLACES, {4: unknown}, log) == {demo_check.FAILED: 1}
    assert compare(queued, PLACES, {4: unknown}, a_log()) == {demo_check.FAILED: 1}
    assert compare(queued, PLACES, {4: certain}, log) == {demo_check.FAILED: 1, demo_check.UNEXPECTED: 1}


def test_a_number_is_read_back_from_every_record_that_was_sent() -> None:
    for number in (0, 1, 65_535, 10_000_000):
        assert number_in(in_log(number, 0)) == number
    assert number_in(Found("orders", value_of(7), key_of(8), 0, 0)) is None
    assert number_in(Found("orders", None, None, 0, 0)) is None
