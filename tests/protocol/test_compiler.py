"""Layouts by hand: what the declarations mean on the wire, version by version, for everything Kafka's
definitions can say.
"""

from __future__ import annotations

from typing import Any

import pytest

from klife.protocol import compiler
from klife.protocol.errors import DecodeError, EncodeError, UnsupportedVersion
from klife.protocol.message import Response
from klife.protocol.primitives import SPLIT_BYTES, Records
from klife.protocol.schema import (
    Struct,
    array,
    bool_,
    bytes_,
    float64,
    int8,
    int16,
    int32,
    int64,
    records_,
    string,
    struct,
    uint16,
    uint32,
    uuid,
)


class Numbers(Response, key=900, versions="0"):
    a: bool = bool_("0+")
    b: int = int8("0+")
    c: int = int16("0+")
    d: int = uint16("0+")
    e: int = int32("0+")
    f: int = uint32("0+")
    g: int = int64("0+")
    h: float = float64("0+")
    i: bytes = uuid("0+")


class Point(Struct):
    x: int = int8("0+")
    y: int = int8("2+", default=-1, ignorable=True)


class Everything(Response, key=901, versions="0-3", flexible="1+"):
    text: str = string("0+")
    maybe_text: str | None = string("0+", nullable="0+")
    data: bytes = bytes_("0+")
    maybe_data: bytes | None = bytes_("0+", nullable="1+")
    numbers: list[int] = array(int16, "0+")
    texts: list[str] = array(string, "0+")
    ids: list[bytes] = array(uuid, "0+")
    points: list[Point] | None = array(Point, "0+", nullable="0+")
    point: Point = struct(Point, "0+")
    maybe_point: Point | None = struct(Point, "0+", nullable="0+", default=None)
    records: Records = records_("0+", nullable="0+")


class Tagged(Response, key=902, versions="0-2", flexible="1+"):
    number: int = int32("0+", tag=1, tagged="2+", default=7)  # in place up to version 1
    point: Point = struct(Point, "1+", tag=0, ignorable=True)
    maybe_point: Point | None = struct(Point, "1+", nullable="1+", tag=300, default=None, ignorable=True)
    texts: list[str] | None = array(string, "1+", nullable="1+", tag=5, default=None, ignorable=True)


class Changed(Response, key=903, versions="0-2"):
    old: int = int32("0")
    new: str = string("1+")
    extra: int = int32("2+", default=-1, ignorable=True)
    many: list[int] = array(int32, "2+")


def test_numbers_are_big_endian_and_packed_without_gaps() -> None:
    message = Numbers(a=True, b=-1, c=-2, d=65535, e=-3, f=2**32 - 1, g=-4, h=1.5, i=bytes(range(16)))

    wire = bytes.fromhex("01 ff fffe ffff fffffffd ffffffff fffffffffffffffc 3ff8000000000000") + bytes(range(16))

    assert message.encode(0) == wire
    assert Numbers.decode(wire, 0) == message


EVERYTHING = Everything(
    text="é",
    maybe_text=None,
    data=b"dat",
    maybe_data=b"",
    numbers=[1, -1],
    texts=["a", ""],
    ids=[b"i" * 16],
    points=[Point(x=1), Point(x=2)],
    point=Point(x=3),
    maybe_point=None,
    records=b"rec",
)


def test_before_flexible_versions_lengths_are_two_or_four_bytes() -> None:
    wire = (
        b"\0\2\xc3\xa9" + b"\xff\xff" + b"\0\0\0\3dat" + b"\0\0\0\0" + b"\0\0\0\2\0\1\xff\xff" + b"\0\0\0\2\0\1a\0\0"
        b"\0\0\0\1" + b"i" * 16 + b"\0\0\0\2\1\2" + b"\3" + b"\xff" + b"\0\0\0\3rec"
    )

    assert EVERYTHING.encode(0) == wire
    assert Everything.decode(wire, 0) == EVERYTHING


def test_in_flexible_versions_lengths_are_varints_of_one_more_and_every_struct_ends_with_its_tags() -> None:
    wire = (
        b"\3\xc3\xa9" + b"\0" + b"\4dat" + b"\1" + b"\3\0\1\xff\xff" + b"\3\2a\1"
        b"\2" + b"i" * 16 + b"\3\1\0\2\0" + b"\3\0" + b"\xff" + b"\4rec" + b"\0"
    )

    assert EVERYTHING.encode(1) == wire
    assert Everything.decode(wire, 1) == EVERYTHING


def test_a_nullable_struct_is_preceded_by_a_byte_that_says_whether_it_is_there() -> None:
    absent, present = Everything(), Everything(maybe_point=Point(x=9))

    assert absent.encode(1) == Everything().encode(1)
    assert b"\xff" in absent.encode(1)
    assert b"\1\x09\0" in present.encode(1)
    assert Everything.decode(present.encode(1), 1) == present


def test_a_null_array_is_not_an_empty_one() -> None:
    for version in range(4):
        null, empty = Everything(points=None), Everything(points=[])
        assert Everything.decode(null.encode(version), version).points is None
        assert Everything.decode(empty.encode(version), version).points == []


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 16382, 16383, 16384, 32767])
def test_strings_of_every_length_of_varint_survive(length: int) -> None:
    for version in range(4):
        message = Everything(text="x" * length, texts=["y" * length] * 3)
        assert Everything.decode(message.encode(version), version) == message


@pytest.mark.parametrize("length", [0, 1, 16, 17, 126, 127, 128, 40000])
def test_arrays_of_every_length_survive(length: int) -> None:
    for version in range(4):
        message = Everything(numbers=list(range(-length // 2, length - length // 2 - length % 2 + length % 2))[:length])
        assert Everything.decode(message.encode(version), version) == message


def test_a_tagged_field_is_written_only_when_it_differs_from_its_default() -> None:
    assert Tagged().encode(2) == b"\0"
    assert Tagged(number=8).encode(2) == b"\1" + b"\1\4\0\0\0\x08"


def test_tagged_fields_are_written_in_the_order_of_their_tags() -> None:
    message = Tagged(number=8, point=Point(x=1, y=2), maybe_point=Point(x=3, y=4), texts=["a"])

    wire = b"\4" + b"\0\3\1\2\0" + b"\1\4\0\0\0\x08" + b"\5\3\2\2a" + b"\xac\2\4\1\3\4\0"

    assert message.encode(2) == wire
    assert Tagged.decode(wire, 2) == message


def test_a_field_that_became_tagged_later_is_written_in_place_before() -> None:
    assert Tagged(number=8).encode(0) == b"\0\0\0\x08"
    assert Tagged(number=8).encode(1) == b"\0\0\0\x08\0"
    assert Tagged.decode(b"\0\0\0\x08\0", 1) == Tagged(number=8)


def test_tagged_fields_are_read_in_any_order_and_unknown_ones_are_skipped() -> None:
    wire = b"\3" + b"\1\4\0\0\0\x08" + b"\xff\xff\3\2??" + b"\0\3\1\2\0"

    assert Tagged.decode(wire, 2) == Tagged(number=8, point=Point(x=1, y=2))


def test_unknown_tagged_fields_of_nested_structs_are_skipped() -> None:
    wire = Everything(point=Point(x=3)).encode(1)
    unknown = wire.replace(b"\3\0\xff", b"\3\2\x07\1?\xac\2\0\xff")

    assert wire != unknown
    assert Everything.decode(unknown, 1) == Everything(point=Point(x=3))


def test_a_tagged_field_must_be_as_long_as_it_says() -> None:
    for wire in (b"\1" + b"\1\5\0\0\0\x08\0", b"\1" + b"\1\3\0\0\0\x08"):
        with pytest.raises(DecodeError, match="number is not as long as it says"):
            Tagged.decode(wire, 2)


def test_a_field_the_version_lacks_reads_as_its_default() -> None:
    assert Changed.decode(Changed(old=4).encode(0), 0) == Changed(old=4, new="", extra=-1, many=[])


def test_an_ignorable_value_is_dropped_where_the_version_cannot_say_it() -> None:
    assert Changed(new="n", extra=5).encode(1) == Changed(new="n").encode(1)


@pytest.mark.parametrize(
    ("message", "version", "words"),
    [
        (Changed(old=1), 1, ("Changed v1", "old", "int", "versions 0 to 0")),
        (Changed(new="n"), 0, ("Changed v0", "new", "str", "version 1 and later")),
        (Changed(many=[1]), 1, ("Changed v1", "many", "version 2 and later")),
    ],
)
def test_a_value_the_version_cannot_say_is_refused_unless_ignorable(message: Changed, version: int, words: tuple[str, ...]) -> None:
    with pytest.raises(EncodeError) as refusal:
        message.encode(version)

    assert all(word in str(refusal.value) for word in words)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("text", 5, ("text", "str", "int")),
        ("text", b"bytes", ("text", "str", "bytes")),
        ("text", None, ("text", "None", "str")),
        ("text", "x" * 32768, ("text", "32768", "32767")),
        ("text", "\ud800", ("text", "surrogates")),
        ("maybe_text", 5, ("maybe_text", "str", "int")),
        ("data", "text", ("data", "bytes", "str")),
        ("data", None, ("data", "None", "bytes")),
        ("maybe_data", 3, ("maybe_data", "bytes", "int")),
        ("numbers", [1, 40000], ("numbers[1]", "40000", "int16")),
        ("numbers", [1, "2"], ("numbers[1]", "int16", "str")),
        ("numbers", [1, 2.5], ("numbers[1]", "int16", "float")),
        ("numbers", None, ("numbers", "None", "list of int16")),
        ("numbers", 7, ("numbers", "list of int16", "int")),
        ("texts", "abc", ("texts", "list of string", "str")),
        ("texts", ["a", None], ("texts[1]", "None", "str")),
        ("ids", [b"short"], ("ids[0]", "16", "5")),
        ("ids", ["x" * 16], ("ids[0]", "16 bytes", "str")),
        ("points", [Point(), {"x": 1}], ("points[1]", "Point", "dict")),
        ("points", [Point(x=300)], ("points[0].x", "300", "int8")),
        ("points", {"x": 1}, ("points", "list of Point", "dict")),
        ("point", None, ("point", "None", "Point")),
        ("point", Point(x=-129), ("point.x", "-129", "int8")),
        ("maybe_point", "here", ("maybe_point", "Point", "str")),
        ("records", "text", ("records", "bytes", "str")),
        ("records", [b"ok", 5], ("records", "bytes", "list")),
        ("records", 5, ("records", "bytes", "int")),
    ],
)
@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_value_that_cannot_be_written_is_named_with_its_type(field: str, value: Any, words: tuple[str, ...], version: int) -> None:
    with pytest.raises(EncodeError) as refusal:
        Everything(**{field: value}).encode(version)

    assert f"Everything v{version}" in str(refusal.value)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value"), [("a", 1), ("a", "yes"), ("a", None), ("h", "1.5"), ("i", b"123"), ("i", "x" * 16), ("f", -1)]
)
def test_numbers_of_the_wrong_kind_are_named_with_their_type(field: str, value: Any) -> None:
    with pytest.raises(EncodeError, match=f"Numbers v0 .*: {field} "):
        Numbers(**{field: value}).encode(0)


def test_null_is_refused_in_versions_that_cannot_say_it() -> None:
    assert Everything(maybe_data=None).encode(1)
    with pytest.raises(EncodeError, match="maybe_data is None"):
        Everything(maybe_data=None).encode(0)


def test_an_error_never_quotes_strings_or_bytes() -> None:
    with pytest.raises(EncodeError) as refusal:
        Everything(texts=["fine", b"hunter2"]).encode(1)  # type: ignore[list-item]

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("version", [-1, 4, 100])
def test_a_version_the_message_does_not_have_is_refused_both_ways(version: int) -> None:
    with pytest.raises(UnsupportedVersion, match="Everything has versions 0 to 3"):
        Everything().encode(version)
    with pytest.raises(UnsupportedVersion, match="Everything has versions 0 to 3"):
        Everything.decode(b"", version)


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_large_records_become_parts_that_are_not_copied(buffer: Any) -> None:
    records = buffer(b"r" * (SPLIT_BYTES + 1))

    parts = Everything(records=records).encode_parts(1)

    assert any(part is records for part in parts)
    assert b"".join(parts) == Everything(records=bytes(records)).encode(1)


def test_records_may_be_several_buffers_that_follow_each_other() -> None:
    large = b"l" * (SPLIT_BYTES + 1)

    for version in (0, 1):
        parts = Everything(records=(b"small", large, bytearray(b"end"))).encode_parts(version)
        assert any(part is large for part in parts)
        assert b"".join(parts) == Everything(records=b"small" + large + b"end").encode(version)


def test_small_records_are_joined_with_what_surrounds_them() -> None:
    assert len(Everything(records=b"r" * SPLIT_BYTES).encode_parts(1)) == 1


def test_records_are_read_as_a_view_of_the_input() -> None:
    wire = EVERYTHING.encode(1)

    records = Everything.decode(wire, 1).records

    assert isinstance(records, memoryview)
    assert records.obj is wire


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded_to_values_that_own_their_bytes(buffer: Any) -> None:
    message = Everything.decode(buffer(EVERYTHING.encode(1)), 1)

    assert message == EVERYTHING
    assert type(message.data) is type(message.ids[0]) is bytes
    assert type(message.text) is str


def test_decoding_begins_at_the_offset() -> None:
    assert Everything.decode(b"header" + EVERYTHING.encode(1), 1, 6) == EVERYTHING


@pytest.mark.parametrize("version", range(4))
def test_every_truncation_is_a_decode_error(version: int) -> None:
    wire = EVERYTHING.encode(version)

    for length in range(len(wire)):
        with pytest.raises(DecodeError, match=f"Everything v{version}"):
            Everything.decode(wire[:length], version)


def test_bytes_left_over_are_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="2 bytes left over"):
        Everything.decode(EVERYTHING.encode(1) + b"..", 1)


@pytest.mark.parametrize(
    ("wire", "version", "words"),
    [
        (b"\xff\xff", 0, "text is null"),
        (b"\x80\0", 0, "text is null or has a negative length"),
        (b"\0\0\xff\xfe", 0, "maybe_text has a negative length"),
        (b"\0", 1, "text is null"),
        (b"\2\xff", 1, "not UTF-8"),
        (b"\xff\xff\xff\xff\xff\xff\1", 1, "varint"),
        (b"\xff\xff\xff\xff\x7f", 1, "varint"),
        (b"\0\0\xff\xff\0\0\0\0\0\0\0\0\x7f\xff\xff\xff", 0, "numbers says it has 2147483647 elements"),
        (b"\1\0\1\1\xff\xff\xff\xff\x0f", 1, "numbers says it has 4294967294 elements"),
        (b"\1\0\1\1\1\xff\xff\xff\xff\x07", 1, "texts says it has 2147483646 elements"),
    ],
)
def test_corrupt_input_is_a_decode_error_that_says_what_is_wrong(wire: bytes, version: int, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        Everything.decode(wire, version)


def test_the_generated_source_can_be_read() -> None:
    assert "def decode(buf, pos):" in compiler.decoder_source(Everything, 1)
    assert "def encode(message, parts):" in compiler.encoder_source(Everything, 1)
