"""What the schema can declare is what Kafka can: every message of Kafka is declared here by machine, and then
behaves as Kafka's own.

So that an API can be added by writing down its definition, without touching the compiler.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from klife.protocol import schema
from klife.protocol.message import Message, Response
from klife.protocol.schema import Scalar, Struct, StructMeta
from tests.support.java_codec import JavaCodec
from tests.support.kafka_definitions import kafka_definitions, kafkas_default, snake_case, structs_of
from tests.support.message_json import as_kafka_takes_it
from tests.support.message_strategies import random_struct

SCALARS: dict[str, Scalar[Any]] = {value.name: value for value in vars(schema).values() if isinstance(value, Scalar)}


@pytest.fixture(scope="module")
def java(kafka_jars: Path) -> Iterator[JavaCodec]:
    with JavaCodec(kafka_jars) as codec:
        yield codec


class Declarer:
    """Turns one of Kafka's definitions into a class."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self._specs = structs_of(definition)
        self._structs: dict[str, Any] = {}
        self.message: Any = StructMeta(
            definition["name"],
            (Response,),
            self._fields(definition["fields"]),
            key=definition["apiKey"],
            versions=definition["validVersions"],
            flexible=definition["flexibleVersions"],
        )

    def _struct(self, name: str) -> Any:
        if name not in self._structs:
            self._structs[name] = StructMeta(name, (Struct,), self._fields(self._specs[name]))
        return self._structs[name]

    def _fields(self, specs: list[dict[str, Any]]) -> dict[str, Any]:
        return {snake_case(spec["name"]): self._field(spec) for spec in specs}

    def _field(self, spec: dict[str, Any]) -> Any:
        name = spec["type"].removeprefix("[]")
        options = {
            "nullable": spec.get("nullableVersions"),
            "default": kafkas_default(spec, is_struct=name in self._specs),
            "ignorable": spec.get("ignorable", False),
            "tag": spec.get("tag"),
            "tagged": spec.get("taggedVersions"),
        }
        if spec["type"].startswith("[]"):
            return schema.array(SCALARS.get(name) or self._struct(name), spec["versions"], **options)
        if name in SCALARS:
            return SCALARS[name](spec["versions"], **options)
        return schema.struct(self._struct(name), spec["versions"], **options)


def test_every_message_of_kafka_can_be_declared_and_is_encoded_as_kafka_encodes_it(java: JavaCodec, kafka_jars: Path) -> None:
    rng = random.Random(7)
    count = 0
    for definition in kafka_definitions(kafka_jars).values():
        if definition["type"] not in ("request", "response") or definition["validVersions"] == "none":
            continue
        cls: type[Message] = Declarer(definition).message
        for version in range(cls.MIN_VERSION, cls.MAX_VERSION + 1):
            message = random_struct(cls, version, rng)
            wire = message.encode(version)
            assert cls.decode(wire, version) == message, (cls, version)
            assert wire == java.encode(f"{cls.__name__}Data", version, as_kafka_takes_it(message, version)), (cls, version)
            count += 1
    assert count > 400
