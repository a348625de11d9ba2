"""The check of a chaos run finds each way in which a promise can be broken, and nothing where all were kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.check import (
    BLOCKED,
    DAMAGED,
    DISORDERED,
    DOUBLED,
    FOREIGN,
    GHOST,
    LATE,
    LOST,
    MISPLACED,
    OPEN,
    TWICE,
    Found,
    Promise,
    Slack,
    Violation,
    check,
)
from tests.chaos.journal import DELIVERED, FAILED, POSSIBLY, UNRESOLVED, Entry
from tests.chaos.plan import plan_for
from tests.chaos.report import headline
from tests.chaos.run import Outcome

FULL = Promise(acks="all", idempotent=True, max_block=2.0)
PLAIN = replace(FULL, idempotent=False)
LEADER_ONLY = replace(PLAIN, acks=1)
FORGOTTEN = replace(PLAIN, acks=0)
ORDERS = "orders"


def entry(number: int, outcome: str = DELIVERED, offset: int | None = None, worker: int = 0, **fields: Any) -> Entry:
    """Record `number`, produced at second `number` by a call of its own, settled half a second later."""
    made = Entry(
        worker, number, ORDERS, 7, "sync", 10.0, float(number), 2 * number, float(number), 2 * number + 1, number + 0.5, outcome
    )
    made.partition, made.offset = 0, offset
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def at(offset: int, number: int, worker: int = 0, crc: int = 7, topic: str = ORDERS) -> Found:
    return Found(topic, 0, offset, worker, number, crc)


def kinds(entries: list[Entry], log: list[Found], promise: Promise = FULL) -> list[str]:
    violations, _ = check(entries, log, {ORDERS: promise}, slack=Slack(1.0))
    return [violation.kind for violation in violations]


def test_delivered_once_each_in_order_is_as_it_should_be() -> None:
    assert kinds([entry(1, offset=0), entry(2, offset=1)], [at(0, 1), at(1, 2)]) == []


def test_a_delivered_record_that_is_not_in_the_log_is_lost() -> None:
    assert kinds([entry(1, offset=0)], []) == [LOST]


def test_a_record_that_is_there_twice_is_doubled() -> None:
    assert kinds([entry(1, offset=0)], [at(0, 1), at(1, 1)]) == [DOUBLED]


def test_a_delivered_record_has_to_be_at_its_offset() -> None:
    assert kinds([entry(1, offset=5)], [at(6, 1)]) == [MISPLACED]


def test_a_delivery_without_an_offset_has_to_be_in_the_log() -> None:
    assert kinds([entry(1, offset=None)], [at(6, 1)]) == []
    assert kinds([entry(1, offset=None)], []) == [LOST]


def test_a_failed_record_must_be_absent() -> None:
    assert kinds([entry(1, FAILED)], []) == []
    assert kinds([entry(1, FAILED)], [at(0, 1)]) == [GHOST]


def test_a_possibly_persisted_record_is_there_at_most_once() -> None:
    assert kinds([entry(1, POSSIBLY)], []) == []
    assert kinds([entry(1, POSSIBLY)], [at(0, 1)]) == []
    assert kinds([entry(1, POSSIBLY)], [at(0, 1), at(1, 1)]) == [DOUBLED]


def test_a_record_has_to_be_what_was_produced() -> None:
    assert kinds([entry(1, offset=0)], [at(0, 1, crc=8)]) == [DAMAGED]


def test_what_nobody_produced_must_not_be_in_the_log() -> None:
    assert kinds([], [at(0, 1)]) == [FOREIGN]


def test_records_of_a_worker_stand_in_the_order_of_produce() -> None:
    assert kinds([entry(1, offset=1), entry(2, offset=0)], [at(0, 2), at(1, 1)]) == [DISORDERED]


def test_the_order_holds_for_records_of_unknown_fate_too() -> None:
    assert kinds([entry(1, POSSIBLY), entry(2, offset=0)], [at(0, 2), at(1, 1)]) == [DISORDERED]


def test_records_of_one_call_stand_in_its_order() -> None:
    call = {"called": 1.0, "call": 1, "returned": 1.0, "back": 2}
    entries = [entry(1, offset=1, **call), entry(2, offset=0, **call)]
    assert kinds(entries, [at(0, 2), at(1, 1)]) == [DISORDERED]


def test_what_one_worker_had_produced_before_another_began_stands_before_it() -> None:
    first, second = entry(1, offset=1, worker=1), entry(2, offset=0, worker=2)
    assert kinds([first, second], [at(0, 2, worker=2), at(1, 1, worker=1)]) == [DISORDERED]


def test_calls_that_overlap_may_stand_in_either_order() -> None:
    first, second = entry(1, offset=1, worker=1, call=1, back=4), entry(2, offset=0, worker=2, call=2, back=3)
    assert kinds([first, second], [at(0, 2, worker=2), at(1, 1, worker=1)]) == []


def test_the_outcome_comes_within_the_delivery_timeout() -> None:
    assert kinds([entry(1, offset=0, settled=11.9)], [at(0, 1)]) == []
    assert kinds([entry(1, offset=0, settled=12.1)], [at(0, 1)]) == [LATE]


def test_what_the_machine_kept_the_load_waiting_is_no_lateness() -> None:
    waits = [(5.0, 0.5), (11.2, 0.4), (12.0, 0.6), (12.4, 0.3)]  # of which the first was over before the record was due
    on_time, late = entry(1, offset=0, settled=13.2), entry(1, offset=0, settled=13.4)
    for each, expected in ((on_time, []), (late, [LATE])):
        violations, _ = check([each], [at(0, 1)], {ORDERS: FULL}, Slack(1.0, waits))
        assert [violation.kind for violation in violations] == expected


def test_the_call_returns_within_max_block() -> None:
    assert kinds([entry(1, FAILED, returned=3.9, settled=3.9)], []) == []
    assert kinds([entry(1, FAILED, returned=4.1, settled=4.1)], []) == [BLOCKED]


def test_every_record_is_settled_exactly_once() -> None:
    assert kinds([entry(1, UNRESOLVED)], []) == [OPEN]
    assert kinds([entry(1, offset=0), entry(1, FAILED)], []) == [TWICE]


@pytest.mark.parametrize("promise", [PLAIN, LEADER_ONLY, FORGOTTEN])
def test_without_idempotence_a_record_may_be_there_twice_and_a_failed_one_not_at_all(promise: Promise) -> None:
    assert kinds([entry(1, offset=1)], [at(0, 1), at(1, 1)], promise) == []
    assert kinds([entry(1, FAILED)], [at(0, 1)], promise) == [GHOST]


def test_without_idempotence_the_returned_offsets_are_in_order() -> None:
    late_copy = [at(0, 1), at(1, 2), at(2, 1)]
    assert kinds([entry(1, offset=0), entry(2, offset=1)], late_copy, PLAIN) == []
    assert kinds([entry(1, offset=2), entry(2, offset=1)], late_copy, PLAIN) == [DISORDERED]


def test_without_idempotence_a_delivered_record_is_not_lost_either() -> None:
    assert kinds([entry(1, offset=0)], [], PLAIN) == [LOST]


def test_with_acks_1_a_delivered_record_may_be_lost_and_is_counted() -> None:
    violations, counts = check([entry(1, offset=0)], [], {ORDERS: LEADER_ONLY}, slack=Slack(1.0))
    assert violations == []
    assert counts == {DELIVERED: 1, "lost with acks=1": 1}


def test_with_acks_0_nothing_is_said_about_what_was_delivered() -> None:
    assert kinds([entry(1), entry(2)], [at(0, 2), at(1, 1)], FORGOTTEN) == []


def test_of_a_deleted_topic_what_came_before_may_be_gone_and_what_comes_later_not() -> None:
    remade = replace(FULL, whole_since=2.0)
    assert kinds([entry(1, offset=0), entry(3, offset=0)], [at(0, 3)], remade) == []
    assert kinds([entry(1, offset=0), entry(3, offset=0)], [], remade) == [LOST]
    assert kinds([entry(1, FAILED)], [at(0, 1)], remade) == [GHOST]
    assert kinds([entry(1, offset=0)], [at(0, 1), at(1, 1)], remade) == [DOUBLED]


def test_without_replies_or_violations_the_outcomes_are_counted() -> None:
    _, counts = check(
        [entry(1, offset=0), entry(2, POSSIBLY), entry(3, FAILED)], [at(0, 1), at(1, 2)], {ORDERS: FULL}, slack=Slack(1.0)
    )
    assert counts == {DELIVERED: 1, POSSIBLY: 1, FAILED: 1, "possibly persisted, and in the log": 1}


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({DELIVERED: 1, "transactions committed": 1}, "ok"),
        ({"transactions committed": 1}, "EMPTY, no records delivered"),
        ({DELIVERED: 1, "transactions aborted": 9}, "EMPTY, no transactions committed"),
        ({DELIVERED: 0}, "EMPTY, no records delivered and no transactions committed"),
    ],
)
def test_a_run_that_came_to_nothing_is_not_ok(counts: dict[str, int], verdict: str) -> None:
    outcome = Outcome(plan_for(1, 1.0), [], counts, {}, {}, [], [], [], {}, Path())
    assert f": {verdict};" in headline(outcome)
    assert bool(outcome.missing) is (verdict != "ok")
    broken = replace(outcome, violations=[Violation(LOST, None, "")])
    assert ": 1 VIOLATIONS;" in headline(broken)
