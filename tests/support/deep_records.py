"""Records within records, a hundred thousand deep, made and forgotten: freed or hashed one inside the other,
they need so much stack.

Prints what was done, each in a line. Run by `test_abuse.py`, in a process of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from klife import ProduceError, Record
from klife.record import Delivered, Undelivered

DEPTH = 100_000


class Plain(Record):
    """One that the garbage collector does not look at, either."""

    __slots__ = ()


class WithDict(Record):
    """A subclass as most are."""


class Result(Delivered):
    """Of a result, too."""

    __slots__ = ()


def in_place_of(field: int, inner: Any) -> tuple[Any, ...]:
    values: list[Any] = ["t", b"v", None, (), 0, 0]
    values[field] = inner
    return tuple(values)


SHAPES: dict[str, Callable[[Any, int], Any]] = {
    **{name: lambda inner, _, at=at: Record(*in_place_of(at, inner)) for at, name in enumerate(Record.__slots__)},
    "Delivered": lambda inner, _: Delivered("t", inner, None, (), 0, 0, 0),
    "Delivered.offset": lambda inner, _: Delivered("t", b"v", None, (), 0, 0, inner),
    "Undelivered": lambda inner, _: Undelivered("t", inner, None, (), 0, 0, ProduceError("no")),
    "Plain": lambda inner, _: Plain("t", inner),
    "WithDict": lambda inner, _: WithDict("t", inner),
    "Result": lambda inner, _: Result("t", inner, None, (), 0, 0, 0),
    "two of each": lambda inner, _: Record("t", inner, Record("t", Record("t", b"v"))),
    "by turns": lambda inner, number: (Record, Plain, WithDict)[number % 3]("t", [inner] if number % 7 == 0 else inner),
}


def free_each() -> None:
    for name, shape in SHAPES.items():
        record = None
        for number in range(DEPTH):
            record = shape(record, number)
        del record
        print(f"freed {name}", flush=True)


def hash_one() -> None:
    record = None
    for _ in range(DEPTH):
        record = Record("t", record)  # type: ignore[arg-type]
    try:
        hash(record)
    except RecursionError:
        print("hashed", flush=True)


free_each()
hash_one()
threading.stack_size(256 * 1024)
thread = threading.Thread(target=free_each)
thread.start()
thread.join()
