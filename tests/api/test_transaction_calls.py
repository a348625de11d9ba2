"""Calls of `transaction` that make no sense are refused where they are made, and begin nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from klife import (
    Client,
    KlifeError,
    Record,
    RecordTooLarge,
    Transaction,
    TransactionAborted,
    TransactionMisused,
    TxnPoolStatus,
)
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.scripted_coordinator import ScriptedCoordinator

POOLS: list[dict[str, Any]] = [{"name": "money"}, {"name": "audit", "pool_size": 3}]


@pytest.fixture
def paying(cluster: ScriptedCluster) -> Iterator[Client]:
    """A client with pools."""
    ScriptedCoordinator(cluster, is_v2=True)
    with Client.start(cluster.bootstrap_servers, txn_pools=POOLS, default_txn_pool="audit") as client:
        client.wait_ready(PATIENCE)
        yield client


def enter(client: Client, **options: Any) -> None:
    with client.transaction(**options):
        raise AssertionError("the block was entered")


NO_POOL: list[Callable[[Client], Any]] = [
    enter,
    lambda client: client.transaction(lambda: None),
    lambda client: client.produce_batch_txn([Record("orders", b"v")]),
    lambda client: enter(client, pool="money"),
]


@pytest.mark.parametrize("call", NO_POOL)
def test_a_client_without_pools_says_what_to_give_it(client: Client, call: Callable[[Client], Any]) -> None:
    with pytest.raises(ValueError, match=r"no pool.*txn_pools") as told:
        call(client)
    assert isinstance(told.value, KlifeError)
    assert client.status().txn_pools == ()
    assert client.produce(Record("orders", b"v")).get(PATIENCE).error is None


def test_a_pool_that_is_not_there_is_named_with_those_that_are(paying: Client) -> None:
    with pytest.raises(ValueError, match=r"no pool 'mony'.*'money', 'audit'"):
        enter(paying, pool="mony")
    with pytest.raises(TypeError, match="pool is an int"):
        enter(paying, pool=3)


async def a_coroutine_function(*_arguments: Any) -> None:
    raise AssertionError("nobody awaits it")


NONSENSE: list[tuple[Callable[[Client], Any], type[Exception], str]] = [
    (lambda client: client.transaction("money"), TypeError, r"is a str; expected a function.*pool='\.\.\.'"),
    (lambda client: client.transaction(print, retries=-1), ValueError, "retries is -1"),
    (lambda client: client.transaction(print, retries="3"), TypeError, "retries is a str"),
    (lambda client: client.transaction(print, retries=True), TypeError, "retries is a bool"),
    (lambda client: client.transaction(retries=3), ValueError, r"retries is for transaction\(function, \.\.\.\)"),
    (lambda client: client.transaction(a_coroutine_function), TypeError, "is a coroutine function"),
    (lambda client: client.produce_batch_txn([Record("orders", b"v"), b"w"]), TypeError, "bytes"),
    (lambda client: client.transaction().produce(Record("orders", b"v")), TransactionMisused, "has not begun"),
    (lambda client: client.transaction().abort(), TransactionMisused, "has not begun"),
]


@pytest.mark.parametrize(("call", "error", "says"), NONSENSE)
def test_an_argument_that_makes_no_sense_is_named(
    paying: Client, call: Callable[[Client], Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as told:
        call(paying)
    assert isinstance(told.value, KlifeError)
    assert all(pool.open == 0 and pool.committed == 0 for pool in paying.status().txn_pools)
    paying.produce_batch_txn([Record("orders", b"v")])


def test_a_transaction_is_entered_once(paying: Client) -> None:
    txn = paying.transaction()
    assert isinstance(txn, Transaction)
    with txn:
        paying.produce(Record("orders", b"v"))
    with pytest.raises(TransactionMisused, match="begun already"), txn:
        pass


def test_a_transaction_that_names_no_pool_is_of_the_default_one(paying: Client) -> None:
    paying.produce_batch_txn([Record("orders", b"v")])
    with paying.transaction(pool="money") as txn:
        txn.abort()
    money, audit = paying.status().txn_pools
    assert isinstance(money, TxnPoolStatus)
    assert [(pool.name, pool.committed, pool.aborted) for pool in (money, audit)] == [("money", 0, 1), ("audit", 1, 0)]
    assert (money.open, money.waiting, money.fenced, money.transaction_version) == (0, 0, False, 2)


def test_a_record_that_no_buffer_can_hold_is_named_and_ends_its_transaction(paying: Client) -> None:
    limit = 33_554_432  # max_buffered_bytes
    too_large = Record("orders", bytes(limit + 1), partition=0)
    says = rf"topic 'orders' is about \d+ bytes, more than max_buffered_bytes \({limit}\)"
    with pytest.raises(RecordTooLarge), paying.transaction():  # of produce, as it is
        paying.produce(too_large)
    with pytest.raises(TransactionAborted, match=says) as told:  # of a batch, which raises nothing by itself
        paying.produce_batch_txn([Record("orders", b"small"), too_large])
    assert isinstance(told.value.__cause__, RecordTooLarge)
    assert (told.value.__cause__.topic, told.value.__cause__.limit, told.value.retriable) == ("orders", limit, False)
    assert [(pool.name, pool.committed, pool.aborted) for pool in paying.status().txn_pools] == [("money", 0, 0), ("audit", 0, 2)]


IMPORTS = """
import sys
import klife
klife.Client, klife.Record
print(sorted(name for name in sys.modules if name.startswith(("klife.actors.transactions", "klife.api.transaction"))))
"""


def test_transactions_are_imported_by_who_has_them() -> None:
    found = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True).stdout
    assert found == "['klife.actors.transactions', 'klife.actors.transactions.status']\n"
