"""Kafka's own codec against klife's, byte for byte: every API that klife declares, every version, requests,
responses and headers.

Nothing is listed here: an API belongs to these tests by being a module of `klife.protocol.apis`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from klife.protocol.framing import decode_response_header, encode_request
from klife.protocol.message import Message, Request
from tests.support.java_codec import JavaCodec
from tests.support.message_corners import CORNERS
from tests.support.message_json import as_kafka_prints_it, as_kafka_takes_it
from tests.support.message_strategies import declared_messages, messages_and_versions, random_struct

RANDOM_SAMPLES = 8
REQUESTS = [cls for cls in declared_messages() if issubclass(cls, Request)]


def case(cls: type[Message], version: int) -> Any:
    return pytest.param(cls, version, id=f"{cls.__name__}-v{version}")


every_message = pytest.mark.parametrize(("cls", "version"), [case(*pair) for pair in messages_and_versions()])
every_request = pytest.mark.parametrize(("cls", "version"), [case(*pair) for pair in messages_and_versions() if pair[0] in REQUESTS])


@pytest.fixture(scope="module")
def java(kafka_jars: Path) -> Iterator[JavaCodec]:
    with JavaCodec(kafka_jars) as codec:
        yield codec


def kafkas_name(cls: type[Message]) -> str:
    return f"{cls.__name__}Data"


def samples(cls: type[Message], version: int) -> Iterator[Message]:
    for corner in CORNERS:
        yield corner(cls, version)
    rng = random.Random(f"{cls.__name__} v{version}")
    for _ in range(RANDOM_SAMPLES):
        yield random_struct(cls, version, rng)


_WRITTEN: dict[tuple[type[Message], int], list[tuple[Message, bytes]]] = {}


def written_by_kafka(java: JavaCodec, cls: type[Message], version: int) -> list[tuple[Message, bytes]]:
    """The samples, and how Kafka writes them; asked of it once."""
    if (cls, version) not in _WRITTEN:
        name = kafkas_name(cls)
        _WRITTEN[cls, version] = [
            (message, java.encode(name, version, as_kafka_takes_it(message, version))) for message in samples(cls, version)
        ]
    return _WRITTEN[cls, version]


def test_every_request_is_declared_with_its_response() -> None:
    assert {0, 1, 2, 3, 10, 17, 18, 19, 20, 22, 36, 37} <= {request.API_KEY for request in REQUESTS}
    assert {*REQUESTS, *(request.RESPONSE for request in REQUESTS)} == set(declared_messages())


@every_message
def test_klife_writes_the_bytes_kafka_writes(java: JavaCodec, cls: type[Message], version: int) -> None:
    for message, written in written_by_kafka(java, cls, version):
        assert message.encode(version) == written, message


@every_message
def test_kafka_reads_the_values_klife_wrote(java: JavaCodec, cls: type[Message], version: int) -> None:
    for message in samples(cls, version):
        written = message.encode(version)
        read = java.decode(kafkas_name(cls), version, written)
        assert read.values == as_kafka_prints_it(message, version)
        assert read.rewritten == written


@every_message
def test_klife_reads_the_values_kafka_wrote(java: JavaCodec, cls: type[Message], version: int) -> None:
    for message, written in written_by_kafka(java, cls, version):
        assert cls.decode(written, version) == message


@every_request
def test_a_request_is_preceded_by_the_header_kafka_writes(java: JavaCodec, cls: type[Request[Any]], version: int) -> None:
    request = cls()
    header_version, _ = java.header_versions(kafkas_name(cls), version)
    for correlation_id, client_id in ((0, None), (2**31 - 1, ""), (7, "klife 😀" * 30)):
        header = {
            "requestApiKey": cls.API_KEY,
            "requestApiVersion": version,
            "correlationId": correlation_id,
            "clientId": client_id,
        }
        frame = b"".join(encode_request(request, version, correlation_id, client_id))
        expected = java.encode("RequestHeaderData", header_version, header) + request.encode(version)
        assert frame == len(expected).to_bytes(4, "big") + expected


@every_request
def test_the_header_kafka_writes_before_a_response_is_read_to_its_end(java: JavaCodec, cls: type[Request[Any]], version: int) -> None:
    _, header_version = java.header_versions(kafkas_name(cls), version)
    for correlation_id in (0, 2**31 - 1):
        header = java.encode("ResponseHeaderData", header_version, {"correlationId": correlation_id})
        assert decode_response_header(header + b"body", cls, version) == (correlation_id, len(header))
