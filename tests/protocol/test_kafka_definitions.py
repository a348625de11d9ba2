"""Every declaration against Kafka's own: the JSON files its classes are generated from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from klife.protocol.api_keys import ApiKey
from klife.protocol.message import Message, Request
from klife.protocol.schema import NEVER, ArrayOf, Field, FieldType, Scalar, Struct, StructOf, Versions
from tests.support.kafka_definitions import Definitions, kafka_definitions, kafkas_default, snake_case, structs_of
from tests.support.message_strategies import declared_messages

CLIENTS_STOP_AT = {"AddPartitionsToTxnRequest": 3}  # later versions are for brokers among themselves

every_message = pytest.mark.parametrize("cls", declared_messages(), ids=lambda cls: cls.__name__)


@pytest.fixture(scope="module")
def definitions(kafka_jars: Path) -> Definitions:
    return kafka_definitions(kafka_jars)


def stable_versions(name: str, definitions: Definitions) -> Versions:
    """What brokers serve to clients unless they are told to try unstable versions. Kafka marks those in the
    request.
    """
    versions = Versions.parse(definitions[name]["validVersions"])
    request = definitions[re.sub("Response$", "Request", name)]
    versions = versions._replace(last=min(versions.last, CLIENTS_STOP_AT.get(request["name"], NEVER)))
    return versions._replace(last=versions.last - 1) if request.get("latestVersionUnstable") else versions


def common(versions: Versions, valid: Versions) -> tuple[int, int] | None:
    """The range within `valid`: "0+" and "3+" are the same to a message that begins with version 3."""
    first, last = max(versions.first, valid.first), min(versions.last, valid.last)
    return (first, last) if first <= last else None


def type_name(kind: FieldType) -> str:
    if isinstance(kind, ArrayOf):
        return f"[]{type_name(kind.element)}"
    return kind.name if isinstance(kind, Scalar) else kind.cls.__name__


def structs(cls: type[Struct]) -> Iterator[type[Struct]]:
    yield cls
    for field in cls.FIELDS:
        kind = field.type.element if isinstance(field.type, ArrayOf) else field.type
        if isinstance(kind, StructOf):
            yield from structs(kind.cls)


def described(field: Field, valid: Versions) -> dict[str, Any]:
    return {
        "name": field.name,
        "type": type_name(field.type),
        "versions": common(field.versions, valid),
        "nullable": common(field.nullable, valid),
        "tag": field.tag,
        "tagged": common(field.tagged, valid),
        "ignorable": field.ignorable,
        "default": field.default,
    }


def described_by_kafka(spec: dict[str, Any], known: dict[str, Any], valid: Versions) -> dict[str, Any]:
    versions = Versions.parse(spec["versions"])
    nullable = Versions.parse(spec.get("nullableVersions"))
    return {
        "name": snake_case(spec["name"]),
        "type": spec["type"],
        "versions": common(versions, valid),
        # A field is never null where it is not: one definition says "nullableVersions": "0+" of a field of
        # version 1.
        "nullable": common(nullable, Versions(*common(versions, valid) or (1, 0))),
        "tag": spec.get("tag"),
        "tagged": common(Versions.parse(spec.get("taggedVersions")), valid),
        "ignorable": spec.get("ignorable", False),
        "default": kafkas_default(spec, is_struct=spec["type"] in known),
    }


@every_message
def test_key_and_versions_are_kafkas(cls: type[Message], definitions: Definitions) -> None:
    definition = definitions[cls.__name__]

    assert definition["apiKey"] == cls.API_KEY
    assert stable_versions(cls.__name__, definitions) == (cls.MIN_VERSION, cls.MAX_VERSION)
    assert min(Versions.parse(definition["flexibleVersions"]).first, NEVER) == cls.FLEXIBLE_FROM


@every_message
def test_every_field_is_kafkas_in_order_type_versions_nullability_tag_and_default(cls: type[Message], definitions: Definitions) -> None:
    definition = definitions[cls.__name__]
    valid = stable_versions(cls.__name__, definitions)
    known = structs_of(definition)

    for declared in structs(cls):
        specs = definition["fields"] if declared is cls else known[declared.__name__]
        kafkas = [described_by_kafka(spec, known, valid) for spec in specs]
        ours = [described(field, valid) for field in declared.FIELDS]
        for description in ours:
            description["nullable"] = common(Versions(*description["nullable"] or (1, 0)), Versions(*description["versions"]))
        # Fields that exist in an unstable version only are left out.
        assert ours == [description for description in kafkas if description["versions"]], declared.__name__


def test_a_request_and_its_response_have_one_key_and_the_same_versions() -> None:
    for cls in declared_messages():
        if issubclass(cls, Request):
            response = cls.RESPONSE
            assert response.__name__ == cls.__name__.removesuffix("Request") + "Response"
            assert (response.API_KEY, response.MIN_VERSION, response.MAX_VERSION) == (
                cls.API_KEY,
                cls.MIN_VERSION,
                cls.MAX_VERSION,
            )
            assert response.FLEXIBLE_FROM == cls.FLEXIBLE_FROM


def test_the_table_of_api_keys_is_kafkas(definitions: Definitions) -> None:
    kafkas = {
        snake_case(name.removesuffix("Request")).upper(): definition["apiKey"]
        for name, definition in definitions.items()
        if definition["type"] == "request"
    }

    assert {key.name: key.value for key in ApiKey} == kafkas
