"""The check of a chaos run's transactions finds each way in which one can be half done, and nothing where all
were kept; and their owners end when they are told to.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import gevent
import pytest

from klife.errors import ClientClosed, PoolExhausted, TransactionAborted, TransactionError, TransactionFenced
from klife.record import Record
from klife.testing.fake import FakeCluster
from tests.chaos.bodies import InThreads
from tests.chaos.check import DAMAGED, DISORDERED, DOUBLED, FOREIGN, MISPLACED, Slack
from tests.chaos.check_transactions import (
    GHOST,
    HELD_UP,
    LOST,
    SLOW,
    TOO_MANY_UNKNOWN,
    TORN,
    WAITED,
    WITHOUT_OUTCOME,
    Seen,
    check_transactions,
)
from tests.chaos.ledger import ABORTED, BROKEN, COMMITTED, FENCED, NOT_BEGUN, UNKNOWN, Dealing, Ledger, read_ledger
from tests.chaos.owners import Owner
from tests.chaos.plan import plan_for
from tests.chaos.start import begin_when_ready
from tests.chaos.threads import FIRST_OWNER, LEDGER, SUMMARY
from tests.support import importing_tests

MONEY = "money"


def dealing(number: int, outcome: str = COMMITTED, records: int = 2, **fields: Any) -> Dealing:
    """Transaction `number`, with a record in each of the partitions 0, 1, ..."""
    made = Dealing(0, number, "commit", 10.0, asked=1.0, begun=1.5, ending=2.0, ended=3.0, outcome=outcome)
    made.records = [(MONEY, partition, 7) for partition in range(records)]
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def seen(number: int, position: int, offset: int = 0, **fields: Any) -> Seen:
    return Seen(MONEY, position, offset, 0, number, position, 7)._replace(**fields)


def kinds(dealings: list[Dealing], found: list[Seen], held_up: Sequence[str] = ()) -> list[str]:
    violations, _ = check_transactions(dealings, found, held_up, checkout=5.0, slack=Slack(1.0))
    return [violation.kind for violation in violations]


def test_whole_or_not_at_all_is_as_it_should_be() -> None:
    dealings = [dealing(1), dealing(2, ABORTED), dealing(3, NOT_BEGUN), dealing(4, UNKNOWN), dealing(5, UNKNOWN)]
    assert kinds(dealings, [seen(1, 0), seen(1, 1), seen(4, 0, 5), seen(4, 1, 5)]) == []


def test_a_committed_one_has_to_be_there() -> None:
    assert kinds([dealing(1)], []) == [LOST]


@pytest.mark.parametrize("outcome", [COMMITTED, UNKNOWN])
def test_half_of_one_is_never_there(outcome: str) -> None:
    assert kinds([dealing(1, outcome)], [seen(1, 0)]) == [TORN]


@pytest.mark.parametrize("outcome", [ABORTED, NOT_BEGUN])
def test_what_was_not_committed_is_not_there(outcome: str) -> None:
    assert kinds([dealing(1, outcome)], [seen(1, 0), seen(1, 1)]) == [GHOST]


def test_a_record_is_there_once_as_it_was_and_where_its_delivery_told() -> None:
    both = [seen(1, 0), seen(1, 1)]
    assert kinds([dealing(1)], [*both, seen(1, 1, 8)]) == [DOUBLED]
    assert kinds([dealing(1)], [both[0], both[1]._replace(crc=8)]) == [DAMAGED]
    assert kinds([dealing(1)], [both[0], both[1]._replace(position=2)]) == [DAMAGED]
    assert kinds([dealing(1, offsets={"1": 3})], both) == [MISPLACED]
    assert kinds([dealing(1, offsets={"1": 0})], both) == []


def test_what_nobody_began_is_not_there() -> None:
    assert kinds([], [seen(1, 0)]) == [FOREIGN]


def test_an_owners_transactions_stand_in_their_order() -> None:
    first, second = dealing(1, records=1), dealing(2, records=1)
    assert kinds([first, second], [seen(1, 0, 1), seen(2, 0, 0)]) == [DISORDERED]


def test_of_an_owner_two_commits_may_be_unknown_beside_those_it_was_killed_in() -> None:
    told = [dealing(number, UNKNOWN, error="TransactionError: no answer") for number in range(3)]
    killed = [dealing(number, UNKNOWN) for number in range(3, 9)]
    assert kinds([*told[:2], *killed], []) == []
    assert kinds([*told, *killed], []) == [TOO_MANY_UNKNOWN]
    assert kinds([*told[:2], dealing(9, UNKNOWN, owner=1, error="TransactionError: no answer")], []) == []


def test_nobody_is_fenced_and_nothing_unexpected_is_raised() -> None:
    assert kinds([dealing(1, FENCED), dealing(2, BROKEN), dealing(3, "")], []) == [FENCED, BROKEN, WITHOUT_OUTCOME]


def test_it_begins_and_ends_in_time() -> None:
    assert kinds([dealing(1, ABORTED, begun=6.9, ending=7.0, ended=17.9)], []) == []
    assert kinds([dealing(1, ABORTED, begun=7.1, ending=8.0, ended=8.0)], []) == [WAITED]
    assert kinds([dealing(1, NOT_BEGUN, begun=0.0, ending=0.0, ended=7.1)], []) == [WAITED]
    assert kinds([dealing(1, ABORTED, ending=2.0, ended=13.1)], []) == [SLOW]


def test_no_partition_is_held_up_afterwards() -> None:
    assert kinds([], [], ["money-0: stable to 3 of 4"]) == [HELD_UP]


class FakeTransaction:
    """Takes whatever is produced; ends as it is told."""

    def __init__(self, begins: Exception | None, ends: Exception | None) -> None:
        self._begins, self._ends = begins, ends

    def __enter__(self) -> FakeTransaction:
        if self._begins is not None:
            raise self._begins
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None and self._ends is not None:
            raise self._ends

    def produce(self, record: object) -> None:
        pass

    def abort(self) -> None:
        pass


class FakeClient:
    """Its records are all delivered."""

    def __init__(self, begins: Exception | None = None, ends: Exception | None = None) -> None:
        self.transaction = lambda: FakeTransaction(begins, ends)

    def produce(self, record: Record) -> Any:
        return SimpleNamespace(get=lambda _timeout: SimpleNamespace(offset=5))

    def __getattr__(self, name: str) -> Any:
        return lambda *_args: None


def owner(client: FakeClient, ledger: Any = None) -> Owner:
    return Owner(plan_for(1, 1.0), 0, client, ledger, forks=0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("begins", "ends", "way", "outcome"),
    [
        (None, None, "commit", COMMITTED),
        (None, None, "regret", ABORTED),
        (None, None, "abort", ABORTED),
        (None, None, "leave", ABORTED),
        (PoolExhausted("pool", 1, 1.0, []), None, "commit", NOT_BEGUN),
        (TransactionFenced("id", pool="pool"), None, "commit", FENCED),
        (ClientClosed("closed"), None, "commit", BROKEN),
        (None, TransactionAborted("no", pool="pool"), "commit", ABORTED),
        (None, TransactionError("no answer", pool="pool", possibly_committed=True), "commit", UNKNOWN),
        (None, TransactionFenced("id", pool="pool"), "commit", FENCED),
        (None, ClientClosed("closed"), "commit", BROKEN),
    ],
)
def test_what_is_raised_where_tells_what_came_of_it(begins: Any, ends: Any, way: str, outcome: str) -> None:
    made = Dealing(0, 0, way, 10.0, monotonic())
    owner(FakeClient(begins, ends))._deal(made)
    assert (made.outcome, made.ended > 0) == (outcome, True)


def test_an_owner_ends_and_leaves_no_transaction_without_an_outcome(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    with gevent.Timeout(20):
        owner(FakeClient(), ledger).run(monotonic() + 0.3)
    ledger.close()
    assert {each.outcome for each in read_ledger(tmp_path / "ledger.jsonl")} <= {COMMITTED, ABORTED, UNKNOWN}


def test_a_body_is_interrupted_and_not_the_thread_that_it_is_starting() -> None:
    """Until that runs, CPython 3.11 finds its state by the number of the thread that starts it."""
    body = InThreads()

    def work() -> None:
        while True:
            body.elsewhere(lambda: None)

    for _ in range(50):
        assert body.run(work, lambda _is_over: time.sleep(0.001), 20.0) == (True, None)


def test_owners_without_a_hub_are_interrupted_and_fork_and_find_all_or_nothing(tmp_path: Path) -> None:
    """The process of those as a run has it, on brokers that keep all they are told. For longer where a machine is so busy that
    none of them committed.
    """
    for minutes in (0.05, 0.2, 1.0):
        (folder := tmp_path / f"{minutes}").mkdir()
        committed = ways_of_those_that_committed(minutes, folder)
        if {"fork", "commit"} <= committed:
            return
    raise AssertionError(committed)


def ways_of_those_that_committed(minutes: float, tmp_path: Path) -> set[str]:
    seed = 5
    plan = plan_for(seed, minutes)
    with FakeCluster(topics={topic.name: topic.partitions for topic in plan.txn_topics}) as kafka:
        arguments = (str(seed), str(minutes), kafka.bootstrap_servers, str(tmp_path), "0.3")
        threading.Thread(target=begin_when_ready, args=(tmp_path, ["threads"], time.sleep)).start()
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.threads", *arguments],
            env=importing_tests(),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = [record for topic in plan.txn_topics for record in kafka.records(topic.name)]
    names = [(record, *map(int, (record.value or b"").split(b":", 3)[:3])) for record in found]
    places = [
        Seen(record.topic, record.partition, record.offset or 0, owner, number, index, crc32(record.value or b""))
        for record, owner, number, index in names
    ]
    dealings = list(read_ledger(tmp_path / LEDGER))
    summary = json.loads((tmp_path / SUMMARY).read_text())
    slack = Slack(5.0, summary["waits"])
    violations, counts = check_transactions(dealings, places, (), plan.pool["checkout_timeout_ms"] / 1000, slack)
    assert violations == [], counts
    assert {"stuck": [], "broken": [], "open_transactions": 0, "fenced": False}.items() <= summary.items()
    assert {each.way for each in dealings if each.owner == FIRST_OWNER}
    return {each.way for each in dealings if each.outcome == COMMITTED}
