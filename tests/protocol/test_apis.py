"""Every API in every version: what is written is read back, and nothing else is accepted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic
from klife.protocol.apis.produce import LeaderIdAndEpoch, PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from klife.protocol.errors import DecodeError, EncodeError
from klife.protocol.message import Message
from tests.support.message_strategies import messages_and_versions, random_struct

every_version = pytest.mark.parametrize(
    ("cls", "version"), [pytest.param(cls, version, id=f"{cls.__name__}-v{version}") for cls, version in messages_and_versions()]
)


@every_version
@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_what_is_encoded_is_decoded(cls: type[Message], version: int, seed: int) -> None:
    message = random_struct(cls, version, random.Random(seed))

    wire = message.encode(version)

    assert cls.decode(wire, version) == message
    assert b"".join(message.encode_parts(version)) == wire
    assert cls.decode(b"offset" + wire, version, 6) == message


@every_version
def test_every_truncation_is_a_decode_error(cls: type[Message], version: int) -> None:
    rng = random.Random(version)
    wire = min((random_struct(cls, version, rng).encode(version) for _ in range(10)), key=lambda wire: abs(len(wire) - 1000))

    for length in range(len(wire)):
        with pytest.raises(DecodeError):
            cls.decode(wire[:length], version)


@every_version
def test_bytes_after_the_message_are_a_decode_error(cls: type[Message], version: int) -> None:
    with pytest.raises(DecodeError, match="left over"):
        cls.decode(cls().encode(version) + b"\0", version)


def test_asking_for_all_topics_is_a_null_array_and_version_0_has_none() -> None:
    assert MetadataRequest(topics=None).encode(1) == b"\xff\xff\xff\xff"
    with pytest.raises(EncodeError, match="topics is None"):
        MetadataRequest(topics=None, allow_auto_topic_creation=True).encode(0)


def test_auto_topic_creation_cannot_be_forbidden_before_version_4() -> None:
    request = MetadataRequest(topics=[MetadataRequestTopic(name="t")], allow_auto_topic_creation=False)

    assert request.encode(4).endswith(b"\0")
    with pytest.raises(EncodeError, match="allow_auto_topic_creation"):
        request.encode(3)


def test_leader_hints_are_read_from_produce_responses_that_have_them() -> None:
    hint = PartitionProduceResponse(index=2, error_code=6, current_leader=LeaderIdAndEpoch(leader_id=3, leader_epoch=9))
    plain = PartitionProduceResponse(index=3, base_offset=77)
    wire = ProduceResponse(responses=[TopicProduceResponse(name="t", partition_responses=[hint, plain])]).encode(10)

    partitions = ProduceResponse.decode(wire, 10).responses[0].partition_responses

    assert [partition.current_leader.leader_id for partition in partitions] == [3, -1]
