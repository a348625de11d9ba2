"""`Record(...)`, however it is called: C takes the arguments from where they are, and an unusual call is Python's."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pytest

import klife
from klife import Record, record_signature

FIELDS = ("topic", "value", "key", "headers", "partition", "timestamp_ms")
GIVEN: dict[str, Any] = {"topic": "orders", "value": b"v", "key": b"k", "headers": (("h", b"1"),), "partition": 3, "timestamp_ms": 4}
DEFAULTS: dict[str, Any] = {"key": None, "headers": (), "partition": None, "timestamp_ms": None}


def fields(record: Record[Any, Any]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in FIELDS}


@pytest.mark.parametrize("positional", range(7))
@pytest.mark.parametrize("given", range(2, 7))
def test_each_argument_has_its_place_and_its_name(positional: int, given: int) -> None:
    names = FIELDS[:given]
    first, rest = names[:positional], names[positional:]
    made = Record(*(GIVEN[name] for name in first), **{name: GIVEN[name] for name in reversed(rest)})
    assert fields(made) == DEFAULTS | {name: GIVEN[name] for name in names}
    assert type(made) is Record


def test_names_that_a_program_has_made_are_names() -> None:
    made = Record(**{"".join(list(name)): value for name, value in GIVEN.items()})
    assert fields(made) == GIVEN


MISSING = r"missing 1 required positional argument: "


@pytest.mark.parametrize(
    ("arguments", "names", "said"),
    [
        ((), {}, r"missing 2 required positional arguments: 'topic' and 'value'"),
        (("orders",), {}, f"{MISSING}'value'"),
        ((), {"topic": "orders"}, f"{MISSING}'value'"),
        ((), {"value": b"v", "key": b"k"}, f"{MISSING}'topic'"),
        (("orders", b"v"), {"topic": "orders"}, r"got multiple values for argument 'topic'"),
        (("orders", b"v"), {"unknown": 1}, r"got an unexpected keyword argument 'unknown'"),
        (("orders", b"v", None, (), None, None, None), {}, r"takes from 3 to 7 positional arguments but 8 were given"),
    ],
)
def test_wrong_arguments_are_type_errors_in_python_s_words(arguments: tuple[Any, ...], names: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=rf"^Record\.__init__\(\) {said}"):
        Record(*arguments, **names)


@pytest.mark.skipif(klife.compiled, reason="a compiled class does not tell what its constructor takes")
def test_what_says_so_takes_what_the_constructor_takes() -> None:
    ours, told = (list(signature(cls).parameters.values()) for cls in (Record, record_signature.Record))
    assert [(each.name, each.kind, each.default) for each in ours] == [(each.name, each.kind, each.default) for each in told]


class Order(Record):
    """A record that knows its topic."""

    def __init__(self, value: bytes) -> None:
        super().__init__("orders", value)


def test_a_class_of_its_own_has_its_own_constructor() -> None:
    assert fields(Order(b"v")) == DEFAULTS | {"topic": "orders", "value": b"v"}
    assert type(Order(value=b"v")) is Order


def test_a_constructor_that_was_replaced_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    as_it_was = Record.__init__

    def noted(self: Record[Any, Any], *arguments: Any, **names: Any) -> None:
        made.append(self)
        as_it_was(self, *arguments, **names)

    with monkeypatch.context() as patched:
        patched.setattr(Record, "__init__", noted)
        record = Record("orders", b"v", partition=3)
        assert made == [record]
        assert fields(record) == DEFAULTS | {"topic": "orders", "value": b"v", "partition": 3}
    Record("orders", b"v")
    assert made == [record]
