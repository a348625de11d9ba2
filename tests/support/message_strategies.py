"""Every declared message, and random values of it for any version: what round trips and fuzzing are made of."""

from __future__ import annotations

import pkgutil
import random
import struct
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from klife.protocol import apis
from klife.protocol.message import Message
from klife.protocol.schema import ArrayOf, FieldType, Scalar, Struct, StructOf

S = TypeVar("S", bound=Struct)


def declared_messages() -> list[type[Message]]:
    """All requests and responses under `klife.protocol.apis`, by name."""
    modules = [import_module(f"{apis.__name__}.{module.name}") for module in pkgutil.iter_modules(apis.__path__)]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return sorted((cls for cls in found if issubclass(cls, Message) and "API_KEY" in vars(cls)), key=lambda cls: cls.__name__)


def messages_and_versions() -> list[tuple[type[Message], int]]:
    """Each declared message with each of its versions."""
    return [(cls, version) for cls in declared_messages() for version in range(cls.MIN_VERSION, cls.MAX_VERSION + 1)]


def random_struct(cls: type[S], version: int, rng: random.Random) -> S:
    """A value that `version` can say: fields it lacks, and sometimes others, keep their defaults."""
    values = {
        field.name: _value(field.type, version, rng, nullable=field.nullable.covers(version))
        for field in cls.FIELDS
        if field.versions.covers(version) and rng.random() < 0.85
    }
    message = cls(**values)
    for field in cls.FIELDS:
        if getattr(message, field.name) is None and field.versions.covers(version) and not field.nullable.covers(version):
            setattr(message, field.name, _value(field.type, version, rng, nullable=False))
    return message


def _value(kind: FieldType, version: int, rng: random.Random, *, nullable: bool) -> Any:
    if nullable and rng.random() < 0.25:
        return None
    if isinstance(kind, StructOf):
        return random_struct(kind.cls, version, rng)
    if isinstance(kind, ArrayOf):
        # Lengths about 127 are where a compact array's length becomes a second byte; only scalars, or
        # messages get huge.
        length = rng.choice((0, 1, 2, 3)) if isinstance(kind.element, StructOf) else rng.choice((0, 1, 3, 17, 127, 130))
        return [_value(kind.element, version, rng, nullable=False) for _ in range(length)]
    return _SCALARS[kind.name](kind, rng)


def _integer(kind: Scalar[int], rng: random.Random) -> int:
    bits = 8 * kind.size
    low, high = (0, 2**bits - 1) if kind.code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return rng.choice((low, -1 if low else 0, 0, 1, high, rng.randint(low, high)))


def _string(_kind: Scalar[str], rng: random.Random) -> str:
    return "".join(rng.choice("abc-._ äß鍵😀\0") for _ in range(rng.choice((0, 1, 5, 20, 126, 127, 200))))


def _bytes(_kind: Scalar[bytes], rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 100, 126, 127, 128, 5000)))


def _float(_kind: Scalar[float], rng: random.Random) -> float:
    value: float = struct.unpack(">d", rng.randbytes(8))[0]
    return value if value == value else 0.5


_SCALARS: dict[str, Callable[[Any, random.Random], Any]] = {
    "bool": lambda _kind, rng: rng.random() < 0.5,
    "uuid": lambda _kind, rng: rng.randbytes(16),
    "string": _string,
    "bytes": _bytes,
    "records": _bytes,
    "float64": _float,
    **dict.fromkeys(("int8", "int16", "uint16", "int32", "uint32", "int64"), _integer),
}
