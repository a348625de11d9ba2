"""Errors and results go through pickle, copy and processes, and are the same afterwards; clients and
deliveries say why they do not.
"""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import pickle
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pykka
import pytest

import klife
import klife_supervision
from klife import Client, Record
from klife.actors.producer.batch import Batch
from klife.actors.producer.delivery import BatchDelivery, Delivery, Places
from klife.errors import KlifeError
from klife.record import Delivered, Undelivered
from klife_supervision import SupervisionError, TreeNode
from klife_supervision.exit_reason import ExitReason

WAYS: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, "deepcopy": copy.deepcopy}
WAYS |= {f"pickle {number}": lambda value, number=number: pickle.loads(pickle.dumps(value, number)) for number in range(6)}


def error_classes() -> list[type[Exception]]:
    """All that reach users, wherever in klife and klife_supervision they are defined."""
    names = [
        module.name
        for package in (klife, klife_supervision)
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        if not module.name.endswith(("__main__", "pytest_plugin"))
    ]
    classes = [(name, cls) for name in names for cls in vars(import_module(name)).values() if isinstance(cls, type)]
    return [cls for name, cls in classes if issubclass(cls, (KlifeError, SupervisionError)) and cls.__module__ == name]


ERRORS = error_classes()
FAILED = Undelivered("orders", b"v", b"k", (("h", None),), 3, 5, klife.ProduceError("no", topic="orders", error_code=7))
VALUES: dict[str, Any] = {
    "delivered": [Record("orders", b"v")],
    "failed": [FAILED, FAILED],
    "problems": ["linger_ms: is a str", "acks: is 5"],
    "actors": ["one", "other"],
    "undelivered": 7,
    "timeout": 1.5,
    "size": 5,
    "limit": None,
    "topic": "orders",
    "partition": 3,
    "error_code": 7,
    "retriable": True,
    "possibly_persisted": True,
    "possibly_committed": True,
    "ages": [0.5, 2.0],
    "cause": klife.ConfigError(["acks: is 5"]),
    "reason": ExitReason.crashed(KeyError("x")),
    "intensity": 3,
    "period": 5.0,
    "message": "what was read",
}
"""What constructors take, by their parameters' names; for others, a text."""


def made(cls: type[Exception]) -> Exception:
    try:
        parameters = inspect.signature(cls.__init__).parameters.values()
    except ValueError:
        return cls("what happened")
    own = [parameter for parameter in parameters if parameter.name != "self"]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in own):
        return cls("what happened")
    given = {parameter.name: VALUES.get(parameter.name, "what happened") for parameter in own}
    if issubclass(cls, klife.ProduceError):
        given["message"] = "what happened"
    by_place = [given.pop(parameter.name) for parameter in own if parameter.kind is not parameter.KEYWORD_ONLY]
    return cls(*by_place, **given)


def described(value: Any) -> Any:
    """What of an error, or of values with errors in them, has to be the same."""
    if isinstance(value, BaseException):
        return type(value), str(value), described(value.args), described(vars(value))
    if isinstance(value, dict):
        return {name: described(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    if isinstance(value, ExitReason):
        return value.kind, described(value.term), described(value.exception)
    if isinstance(value, Record):
        return type(value), value, described(value.error)
    return value


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
def test_every_error_is_the_same_afterwards(cls: type[Exception], way: str) -> None:
    error = made(cls)
    assert str(error)
    for twice in (WAYS[way](error), WAYS[way](WAYS[way](error))):
        assert twice is not error
        assert described(twice) == described(error)
        facts = ("retriable", "possibly_persisted", "possibly_committed")
        assert [getattr(twice, fact, None) for fact in facts] == [getattr(error, fact, None) for fact in facts]


def test_the_walk_finds_the_errors_that_users_meet() -> None:
    public = {
        cls for module in (klife, klife_supervision) for cls in map(module.__getattribute__, module.__all__) if inspect.isclass(cls)
    }
    assert {cls for cls in public if inspect.isclass(cls) and issubclass(cls, Exception)} <= set(ERRORS)
    assert len(ERRORS) > 35


def test_what_was_noted_and_what_a_user_added_stay() -> None:
    error = klife.FlushTimeout(7, 1.5)
    error.add_note("while the lights were out")
    error.order = 12  # type: ignore[attr-defined]
    again = pickle.loads(pickle.dumps(error))
    assert (again.__notes__, again.order, again.undelivered) == (["while the lights were out"], 12, 7)


class OwnRecord(Record):
    """A user's."""

    def __init__(self, order: int) -> None:
        super().__init__("orders", b"v")
        self.order = order


RESULTS = [
    Record("orders", b"v", b"k", [("h", b"x"), ("h", None)], 3, 5),
    Delivered("orders", None, b"k", (), 3, 5, 99),
    FAILED,
    OwnRecord(12),
    klife.StopReport(delivered=1, failed=2, undelivered=3),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_every_result_is_the_same_afterwards(result: Any, way: str) -> None:
    again = WAYS[way](result)
    assert again is not result
    assert (type(again), again, repr(again)) == (type(result), result, repr(result))
    for name in ("topic", "value", "key", "headers", "partition", "timestamp_ms", "offset", "error_code", "order"):
        assert getattr(again, name, None) == getattr(result, name, None)
    assert described(getattr(again, "error", None)) == described(getattr(result, "error", None))


@pytest.fixture(scope="module")
def client() -> Any:
    with Client.start("127.0.0.1:1", name="copied") as client:
        yield client
        client.stop(0)


@pytest.mark.parametrize("way", WAYS)
def test_status_and_tree_are_the_same_afterwards(client: Client, way: str) -> None:
    status = client.status()
    assert WAYS[way](status) == status
    tree = client.tree()
    again = WAYS[way](tree)
    assert isinstance(again, TreeNode)
    assert str(again) == str(tree)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_of_one_process_says_so(client: Client, way: str) -> None:
    batch = Batch.__new__(Batch)
    batch.is_set = True
    for value, advice in [
        (client, r"Client\.get or Client\.start"),
        (Delivery(batch, 0), r"delivery\.get\(\)"),
        (BatchDelivery(Places(0, 0)), r"delivery\.get\(\)"),
    ]:
        with pytest.raises(TypeError, match=advice):
            WAYS[way](value)


def fail(error: Exception) -> None:
    raise error


def test_a_pool_of_processes_delivers_errors() -> None:
    errors = [
        made(cls) for cls in (klife.BatchError, klife.FlushTimeout, klife.RecordTooLarge, klife.ForkedDelivery, klife.ConfigError)
    ]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for error in errors:
            with pytest.raises(type(error)) as caught:
                pool.apply_async(fail, (error,)).get(timeout=60)
            assert described(caught.value) == described(error)


def test_a_wait_that_ended_is_still_a_timeout_of_all_kinds() -> None:
    again = pickle.loads(pickle.dumps(klife.WaitTimeout("no")))
    assert isinstance(again, TimeoutError)
    assert isinstance(again, pykka.Timeout)
