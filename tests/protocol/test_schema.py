"""Declarations and the values made from them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from klife.protocol.apis.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from klife.protocol.schema import NEVER, Struct, Versions, array, bytes_, int32, string, struct, uuid


class Inner(Struct):
    number: int = int32("0+", default=-1)


class Outer(Struct):
    name: str | None = string("0+", nullable="0+", default=None)
    inner: Inner = struct(Inner, "0+")
    inners: list[Inner] = array(Inner, "0+")
    secret: bytes = bytes_("0+")
    topic_id: bytes = uuid("0+")


@pytest.mark.parametrize(
    ("text", "versions"),
    [("3+", (3, NEVER - 1)), ("3-7", (3, 7)), ("4", (4, 4)), ("0+", (0, NEVER - 1))],
)
def test_version_ranges_are_written_as_kafka_writes_them(text: str, versions: tuple[int, int]) -> None:
    assert Versions.parse(text) == versions


@pytest.mark.parametrize("text", ["none", None])
def test_an_empty_version_range_covers_nothing(text: str | None) -> None:
    assert not any(Versions.parse(text).covers(version) for version in (-1, 0, 1, NEVER - 1, NEVER))


def test_fields_that_are_not_given_have_kafkas_defaults() -> None:
    assert (Outer().name, Outer().inner, Outer().inners, Outer().secret) == (None, Inner(number=-1), [], b"")


def test_defaults_that_can_be_changed_are_made_anew_for_each_value() -> None:
    first, second = Outer(), Outer()
    first.inners.append(Inner())
    first.inner.number = 5

    assert second == Outer()
    assert Outer() != first


def test_values_are_equal_when_their_fields_are() -> None:
    assert Outer(inner=Inner(number=4)) == Outer(inner=Inner(number=4))
    assert Outer(inner=Inner(number=4)) != Outer(inner=Inner(number=5))
    assert Inner() != 4


def test_a_misspelt_field_is_refused_when_a_value_is_made_and_when_it_is_set() -> None:
    with pytest.raises(TypeError, match="nmae"):
        Outer(nmae="x")  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="nmae"):
        Outer().nmae = "x"  # type: ignore[attr-defined]


def test_fields_can_only_be_given_by_name() -> None:
    with pytest.raises(TypeError):
        Inner(3)  # type: ignore[call-arg]


def test_a_repr_shows_sizes_in_place_of_bytes() -> None:
    shown = repr(PartitionProduceData(index=3, records=b"secret" * 4))

    assert shown == "PartitionProduceData(index=3, records=<24 bytes>)"
    assert "hidden" not in repr(Outer(secret=b"hidden"))
    assert repr(PartitionProduceData(records=[b"secret", memoryview(b"x")])).endswith("records=<2 buffers>)")


def test_a_repr_shows_uuids_in_hexadecimal() -> None:
    assert f"topic_id={'ab' * 16}" in repr(Outer(topic_id=b"\xab" * 16))


def test_a_repr_shows_the_first_elements_of_a_long_array_and_how_many_there_are() -> None:
    shown = repr(Outer(inners=[Inner(number=n) for n in range(1000)]))

    assert "Inner(number=0), " in shown
    assert "Inner(number=999)" not in shown
    assert "... 1000 in all" in shown


def test_a_request_knows_its_api_its_versions_and_its_response() -> None:
    assert (ProduceRequest.API_KEY, ProduceRequest.MIN_VERSION, ProduceRequest.MAX_VERSION) == (0, 3, 13)
    assert ProduceRequest.FLEXIBLE_FROM == 9
    assert ProduceRequest.RESPONSE is ProduceResponse


def test_declared_annotations_are_the_types_a_checker_sees() -> None:
    topic = TopicProduceData(name="t", partition_data=[PartitionProduceData(index=1)])
    index: int = ProduceRequest(topic_data=[topic]).topic_data[0].partition_data[0].index
    response = ProduceRequest.RESPONSE.decode(
        ProduceResponse(throttle_time_ms=7).encode(9),
        9,
    )

    assert (index, response.throttle_time_ms, PartitionProduceResponse().base_offset) == (1, 7, 0)


def test_importing_the_messages_does_not_import_gevent() -> None:
    program = "import sys, klife.protocol.framing, klife.protocol.apis.produce; sys.exit('gevent' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)
