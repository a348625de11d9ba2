"""Frames and headers."""

from __future__ import annotations

import random
import time
import tracemalloc
from typing import Any

import pytest

from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from klife.protocol.errors import DecodeError, EncodeError
from klife.protocol.framing import FrameReader, decode_response_header, encode_request
from klife.protocol.primitives import SPLIT_BYTES

FRAMES = [b"", b"a", b"bcd", b"", b"\0\0\0\1", b"e" * 300, b"\xff" * 5]
STREAM = b"".join(len(frame).to_bytes(4, "big") + frame for frame in FRAMES)


def test_a_request_is_its_size_a_header_with_the_client_id_and_its_body() -> None:
    assert encode_request(MetadataRequest(topics=[]), 1, 0x01020304, "me") == [
        b"\0\0\0\x10" + b"\0\3" + b"\0\1" + b"\1\2\3\4" + b"\0\2me" + b"\0\0\0\0"
    ]


def test_a_flexible_request_has_tags_in_its_header_but_no_compact_client_id() -> None:
    request = ApiVersionsRequest(client_software_name="k", client_software_version="1")

    assert encode_request(request, 3, 7, "me") == [b"\0\0\0\x12" + b"\0\x12\0\3\0\0\0\7\0\2me\0" + b"\2k\0021\0"]


def test_no_client_id_is_a_null_string() -> None:
    assert encode_request(MetadataRequest(topics=[]), 1, 7, None)[0][12:14] == b"\xff\xff"


def test_a_large_request_is_sent_in_parts_with_its_records_uncopied() -> None:
    records = bytes(SPLIT_BYTES * 2)
    topic = TopicProduceData(name="t", partition_data=[PartitionProduceData(index=n, records=records) for n in range(3)])
    request = ProduceRequest(topic_data=[topic])

    parts = encode_request(request, 9, 7, "me")
    joined = b"".join(parts)

    assert sum(part is records for part in parts) == 3
    assert int.from_bytes(joined[:4], "big") == len(joined) - 4
    assert joined.endswith(request.encode(9))


@pytest.mark.parametrize(("correlation_id", "client_id"), [(2**31, "me"), ("7", "me"), (7, b"me"), (7, "x" * 32768), (7, "\ud800")])
def test_a_header_that_cannot_be_written_is_an_encode_error(correlation_id: Any, client_id: Any) -> None:
    with pytest.raises(EncodeError, match="client_id"):
        encode_request(MetadataRequest(), 9, correlation_id, client_id)


def test_a_response_header_is_the_correlation_id_and_in_flexible_versions_tags() -> None:
    assert decode_response_header(b"\0\0\0\7body", MetadataRequest, 8) == (7, 4)
    assert decode_response_header(b"\0\0\0\7\0body", MetadataRequest, 9) == (7, 5)
    assert decode_response_header(b"\0\0\0\7\1\x05\2??body", MetadataRequest, 9) == (7, 9)


def test_the_header_of_an_api_versions_response_never_has_tags() -> None:
    for version in range(5):
        assert decode_response_header(b"\0\0\0\7\0\0", ApiVersionsRequest, version) == (7, 4)


@pytest.mark.parametrize(
    "frame", [b"", b"\0\0\0", b"\0\0\0\7", b"\0\0\0\7\1", b"\0\0\0\7\1\1\5??", b"\0\0\0\7" + b"\xff" * 20, b"\0\0\0\7\x7f\1\0"]
)
def test_a_truncated_or_corrupt_response_header_is_a_decode_error(frame: bytes) -> None:
    with pytest.raises(DecodeError, match="a response to Metadata v9"):
        decode_response_header(frame, MetadataRequest, 9)


@pytest.mark.parametrize("first", range(len(STREAM) + 1))
def test_frames_are_the_same_wherever_the_stream_is_cut(first: int) -> None:
    for second in {first, first + 1, first + 3, (first + len(STREAM)) // 2}:
        reader = FrameReader(1000)
        frames = [frame for chunk in (STREAM[:first], STREAM[first:second], STREAM[second:]) for frame in reader.feed(chunk)]
        assert frames == FRAMES
        assert reader.pending_bytes == 0


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64])
def test_frames_are_the_same_in_chunks_of_any_size(size: int) -> None:
    reader = FrameReader(1000)

    frames = [frame for start in range(0, len(STREAM), size) for frame in reader.feed(STREAM[start : start + size])]

    assert frames == FRAMES


def test_frames_are_the_same_in_random_chunks_of_a_buffer_that_is_used_again() -> None:
    rng = random.Random(3)
    sent = [rng.randbytes(rng.choice((0, 1, 10, 1000, 100_000))) for _ in range(200)]
    stream = b"".join(len(frame).to_bytes(4, "big") + frame for frame in sent)
    reader, received, buffer, pos = FrameReader(100_000), [], bytearray(70_000), 0
    while pos < len(stream):
        chunk = stream[pos : pos + rng.choice((1, 5, 100, 70_000))]
        buffer[: len(chunk)] = chunk
        received += reader.feed(memoryview(buffer)[: len(chunk)])
        pos += len(chunk)

    assert received == sent


def test_an_incomplete_frame_is_counted_as_pending() -> None:
    reader = FrameReader(1000)

    for chunk, pending in ((b"", 0), (b"\0\0", 2), (b"\0\5", 4), (b"abc", 7), (b"de", 0)):
        reader.feed(chunk)
        assert reader.pending_bytes == pending


@pytest.mark.parametrize(("prefix", "size"), [(b"\0\0\3\xe9", 1001), (b"\xff\xff\xff\xff", -1), (b"HTTP", 0x48545450)])
def test_a_size_that_is_negative_or_over_the_limit_is_refused_before_the_frame_arrives(prefix: bytes, size: int) -> None:
    with pytest.raises(DecodeError, match=f"claims {size} bytes, the limit is 1000"):
        FrameReader(1000).feed(prefix)


def test_a_frame_of_exactly_the_limit_is_accepted() -> None:
    assert FrameReader(1000).feed(b"\0\0\3\xe8" + bytes(1000)) == [bytes(1000)]


def test_a_claimed_size_takes_no_memory() -> None:
    reader = FrameReader(2**31 - 1)
    tracemalloc.start()
    try:
        reader.feed(b"\x7f\xff\xff\xff" + bytes(100))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_large_frame_in_small_chunks_takes_linear_time() -> None:
    chunk = bytes(16_384)

    def seconds(chunks: int) -> float:
        reader = FrameReader(2**31 - 1)
        began = time.process_time()
        reader.feed((chunks * len(chunk)).to_bytes(4, "big"))
        for _ in range(chunks - 1):
            assert reader.feed(chunk) == []
        assert [len(frame) for frame in reader.feed(chunk)] == [chunks * len(chunk)]
        return time.process_time() - began

    # 100 MB; copying it again for each chunk would be 300 GB and take minutes.
    assert seconds(6400) < 5
