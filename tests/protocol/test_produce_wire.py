"""The hand-written Produce codec against the declared messages."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klife.protocol.apis.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from klife.protocol.errors import DecodeError, EncodeError, UnsupportedVersion
from klife.protocol.produce_wire import BatchesRequest, BatchesResponse, PlainAnswer, TopicBatches
from tests.support.message_strategies import random_struct

VERSIONS = range(ProduceRequest.MIN_VERSION, ProduceRequest.MAX_VERSION + 1)
SIZES = [0, 1, 126, 127, 128, 4094, 4095, 4096, 4097, 4199, 4200, 16_383, 16_384, 70_000]

names = st.text("abc.-_", min_size=1, max_size=200)
ids = st.binary(min_size=16, max_size=16)
parts = st.sampled_from(SIZES).map(lambda size: b"r" * size)
large = st.lists(parts, min_size=3, max_size=5).map(tuple)  # a batch with large values has more parts
batches = st.tuples(st.integers(0, 2**31 - 1), st.tuples(parts, parts) | large)
topic_lists = st.lists(st.tuples(names, ids, st.lists(batches, max_size=6)), max_size=4)


def declared(acks: int, timeout_ms: int, topics: list[TopicBatches], transactional_id: str | None = None) -> ProduceRequest:
    return ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=timeout_ms,
        topic_data=[
            TopicProduceData(
                name=name,
                topic_id=topic_id,
                partition_data=[PartitionProduceData(index=index, records=batch) for index, batch in partitions],
            )
            for name, topic_id, partitions in topics
        ],
    )


@given(st.sampled_from(VERSIONS), st.sampled_from([-1, 0, 1]), st.integers(0, 2**31 - 1), topic_lists, st.none() | names)
def test_a_request_is_byte_for_byte_the_declared_one(
    version: int, acks: int, timeout_ms: int, topics: list[TopicBatches], transactional_id: str | None
) -> None:
    request = BatchesRequest(acks, timeout_ms, topics, transactional_id)
    assert b"".join(request.encode_parts(version)) == declared(acks, timeout_ms, topics, transactional_id).encode(version)


def test_many_topics_and_partitions_are_counted_in_longer_varints() -> None:
    topics: list[TopicBatches] = [(f"t{n}", bytes(16), [(p, (b"x", b"")) for p in range(200)]) for n in range(200)]
    for version in VERSIONS:
        assert b"".join(BatchesRequest(-1, 1, topics).encode_parts(version)) == declared(-1, 1, topics).encode(version)


def test_a_large_batch_is_not_copied() -> None:
    large = b"x" * 100_000
    for version in VERSIONS:
        assert any(part is large for part in BatchesRequest(-1, 1, [("t", bytes(16), [(0, (b"", large))])]).encode_parts(version))


def test_small_batches_are_gathered_in_parts_for_which_no_memory_has_to_be_mapped() -> None:
    topics: list[TopicBatches] = [(f"t{n}", bytes(16), [(p, (b"start", b"r" * 700)) for p in range(60)]) for n in range(10)]
    for version in VERSIONS:
        parts = BatchesRequest(-1, 1, topics).encode_parts(version)
        assert b"".join(parts) == declared(-1, 1, topics).encode(version)
        assert 10 < len(parts) < 20
        assert max(map(len, parts)) < 64 * 1024


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("topics", [[("x" * 40_000, bytes(16), [])], [("t", bytes(16), [(2**31, (b"", b""))])]])
def test_what_does_not_fit_is_an_encode_error(version: int, topics: list[TopicBatches]) -> None:
    if version >= 13 and not topics[0][2]:
        return  # names are not written there
    with pytest.raises(EncodeError):
        BatchesRequest(-1, 1, topics).encode_parts(version)
    with pytest.raises(EncodeError):
        BatchesRequest(-1, 1, [], "x" * 40_000).encode_parts(version)


def test_versions_that_produce_does_not_have_are_refused() -> None:
    for version in (2, 14):
        with pytest.raises(UnsupportedVersion):
            BatchesRequest(-1, 1, []).encode_parts(version)


answers = st.lists(
    st.tuples(
        names, ids, st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(-1, 2**63 - 1), st.integers(-1, 2**63 - 1)), max_size=5)
    ),
    max_size=4,
)


@given(st.sampled_from(range(9, 14)), answers, st.sampled_from([0, 0, 1, 2**31 - 1]))
def test_a_plain_answer_is_what_the_declared_message_says(
    version: int, topics: list[tuple[str, bytes, list[tuple[int, int, int]]]], throttle: int
) -> None:
    response = ProduceResponse(
        throttle_time_ms=throttle,
        responses=[
            TopicProduceResponse(
                name=name,
                topic_id=topic_id,
                partition_responses=[
                    PartitionProduceResponse(index=index, base_offset=offset, log_append_time_ms=time)
                    for index, offset, time in partitions
                ],
            )
            for name, topic_id, partitions in topics
        ],
    )
    decoded = BatchesResponse.decode(b"head" + response.encode(version), version, 4)
    if throttle or (any(len(name) > 126 for name, _, _ in topics) and version < 13):  # these take the general way
        assert decoded == ProduceResponse.decode(response.encode(version), version)
        return
    assert isinstance(decoded, PlainAnswer)
    assert decoded.topics == [(topic_id if version >= 13 else name, partitions) for name, topic_id, partitions in topics]


@pytest.mark.parametrize("version", [9, 13])
@pytest.mark.parametrize("many", [126, 127, 128, 5000])
def test_a_plain_answer_may_be_of_any_number_of_partitions(version: int, many: int) -> None:
    responses = [PartitionProduceResponse(index=index, base_offset=2**40 + index, log_append_time_ms=-1) for index in range(many)]
    response = ProduceResponse(responses=[TopicProduceResponse(name="t", topic_id=b"\1" * 16, partition_responses=responses)])
    decoded = BatchesResponse.decode(response.encode(version), version)
    assert isinstance(decoded, PlainAnswer)
    assert decoded.topics == [("t" if version == 9 else b"\1" * 16, [(index, 2**40 + index, -1) for index in range(many)])]


@pytest.mark.parametrize("version", VERSIONS)
def test_any_other_answer_is_the_declared_message(version: int) -> None:
    rng = random.Random(version)
    for _ in range(50):
        response = random_struct(ProduceResponse, version, rng)
        decoded = BatchesResponse.decode(response.encode(version), version)
        if isinstance(decoded, ProduceResponse):
            assert decoded == response
        else:
            assert all(p.error_code == 0 and not p.record_errors for t in response.responses for p in t.partition_responses)
    refused = ProduceResponse(
        responses=[TopicProduceResponse(name="t", partition_responses=[PartitionProduceResponse(index=0, error_code=6)])]
    )
    decoded = BatchesResponse.decode(refused.encode(version), version)
    assert decoded == ProduceResponse.decode(refused.encode(version), version)


def test_a_truncated_answer_is_a_decode_error() -> None:
    response = ProduceResponse(
        responses=[TopicProduceResponse(name="t", partition_responses=[PartitionProduceResponse(index=3, base_offset=9)])]
    )
    for version in VERSIONS:
        encoded = response.encode(version)
        for end in range(len(encoded)):
            with pytest.raises(DecodeError):
                BatchesResponse.decode(encoded[:end], version)


@pytest.mark.parametrize("version", [9, 13])
def test_an_answer_whose_topics_are_null_is_a_decode_error(version: int) -> None:
    with pytest.raises(DecodeError):
        BatchesResponse.decode(bytes(6), version)
