"""Topics created, grown and deleted: each function returns when every live broker tells the new state.

A request that changes topics may be sent twice without anyone knowing: by us when its answer was lost, and by
the broker we ask, which passes it to the controller and repeats it while one is elected. Then the second says
that it was done already. So what was there before is looked up first, and what was not is our own doing, as
far as can be told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import gevent

from klife.admin.answers import check, config_text, metadata_request, named, partitions_of
from klife.admin.connection import ATTEMPT_TIMEOUT_SECONDS
from klife.admin.reach import RETRY_SECONDS, Reach
from klife.admin.values import NewTopic, Partition
from klife.errors import AdminError
from klife.protocol.apis.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from klife.protocol.apis.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from klife.protocol.apis.delete_topics import DeleteTopicsRequest
from klife.protocol.apis.metadata import MetadataResponse, MetadataResponseTopic
from klife.protocol.error_codes import ErrorCode, describe, is_retriable
from klife.protocol.errors import DecodeError
from klife.protocol.message import Request, Response
from klife.words import counted

R = TypeVar("R", bound=Response)

ATTEMPT_TIMEOUT_MS = int(ATTEMPT_TIMEOUT_SECONDS * 1000)
DELETE_BY_NAME = 5  # DeleteTopics takes plain names up to this version, which Kafka from 2.4 to 4.3 serves


class _Change(NamedTuple):
    """What a request changes, and how brokers tell that it was done before."""

    verb: str
    done_code: ErrorCode
    is_done: Callable[[MetadataResponseTopic], bool]  # as Metadata tells of the topic
    results: Callable[[Any], Sequence[Any]]  # of the response, one a topic


def _is_unknown(topic: MetadataResponseTopic) -> bool:
    return topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


_CREATE = _Change("create", ErrorCode.TOPIC_ALREADY_EXISTS, lambda topic: not _is_unknown(topic), lambda response: response.topics)
_DELETE = _Change("delete", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, _is_unknown, lambda response: response.responses)


def create(reach: Reach, topics: Sequence[NewTopic]) -> None:
    deadline = reach.deadline()
    request = CreateTopicsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS)
    for topic in topics:
        configs = [CreatableTopicConfig(name=name, value=config_text(value)) for name, value in topic.config.items()]
        wanted = CreatableTopic(name=topic.name, num_partitions=topic.partitions, replication_factor=topic.replication_factor)
        wanted.configs = configs
        request.topics.append(wanted)
    asked = {topic.name: topic for topic in topics}
    names = list(asked)
    doubtful = _sent(reach, _CREATE, request, names, deadline)

    def complete(metadata: MetadataResponse) -> bool:
        for topic in metadata.topics:
            if topic.name in doubtful and topic.error_code == 0:
                _check_as_asked(asked[topic.name], partitions_of(topic))
        return all(
            topic.error_code == 0 and len(topic.partitions) >= max(asked[str(topic.name)].partitions, 1) and _all_led(topic)
            for topic in metadata.topics
        )

    _until_all_know(reach, complete, names, deadline, f"know all partitions of {names}, with leaders")


def grow(reach: Reach, topic: str, count: int) -> None:
    deadline = reach.deadline()
    request = CreatePartitionsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS)
    request.topics.append(CreatePartitionsTopic(name=topic, count=count, assignments=None))

    def is_done(found: MetadataResponseTopic) -> bool:
        return len(found.partitions) >= count

    change = _Change("extend", ErrorCode.INVALID_PARTITIONS, is_done, lambda response: response.results)
    doubtful = _sent(reach, change, request, [topic], deadline)

    def complete(metadata: MetadataResponse) -> bool:
        [found] = metadata.topics
        if doubtful and len(found.partitions) > count:
            code = ErrorCode.INVALID_PARTITIONS
            there = f"somebody else gave it {len(found.partitions)} meanwhile; {count} were asked for"
            raise AdminError(f"cannot extend topic {topic!r}: {describe(code)} ({there})", code)
        return is_done(found) and _all_led(found)

    _until_all_know(reach, complete, [topic], deadline, f"know {counted(count, 'partition')} of {topic!r}, with leaders")


def delete(reach: Reach, names: Sequence[str]) -> None:
    deadline = reach.deadline()
    request = DeleteTopicsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS, topic_names=list(named(names)))
    _sent(reach, _DELETE, request, names, deadline, max_version=DELETE_BY_NAME)
    _until_all_know(reach, lambda metadata: all(map(_is_unknown, metadata.topics)), names, deadline, f"forget {list(names)}")
    _until_free(reach, names, deadline)


def _sent(
    reach: Reach, change: _Change, request: Request[R], names: Sequence[str], deadline: float, *, max_version: int | None = None
) -> set[str]:
    """Send a request until each of its topics is settled; those of which the last answer said that it was done
    already, though it was not when this began.
    """
    before: set[str] | None = None
    while True:
        address = reach.controller(deadline)
        try:
            if before is None:
                metadata = reach.send(metadata_request(names), address)
                before = {str(topic.name) for topic in metadata.topics if change.is_done(topic)}
            response = reach.send(request, address, max_version=max_version)
        except (OSError, DecodeError) as error:
            reach.check_time(deadline, f"{address}: {error}")
            gevent.sleep(RETRY_SECONDS)
            continue
        refused = [result for result in change.results(response) if result.error_code]
        doubtful = {result.name for result in refused if result.error_code == change.done_code} - before
        failed = [result for result in refused if result.name not in doubtful]
        if not failed:
            return doubtful
        final = [result for result in failed if result.error_code == change.done_code or not is_retriable(result.error_code)]
        if final or time.monotonic() > deadline:
            first = (final or failed)[0]
            check(f"cannot {change.verb} topic {first.name!r}", first.error_code, first.error_message)
        gevent.sleep(RETRY_SECONDS)


def _check_as_asked(asked: NewTopic, found: Sequence[Partition]) -> None:
    counts = {"partitions": (asked.partitions, len(found)), "replication_factor": (asked.replication_factor, len(found[0].replicas))}
    wrong = [f"{name}={there}, {wanted} asked for" for name, (wanted, there) in counts.items() if wanted not in (-1, there)]
    if wrong:
        code = ErrorCode.TOPIC_ALREADY_EXISTS
        raise AdminError(f"cannot create topic {asked.name!r}: {describe(code)} (made meanwhile with {'; '.join(wrong)})", code)


def _all_led(topic: MetadataResponseTopic) -> bool:
    return all(partition.leader_id >= 0 for partition in topic.partitions)


def _until_all_know(
    reach: Reach, condition: Callable[[MetadataResponse], bool], topics: Sequence[str], deadline: float, what: str
) -> None:
    """Wait until the metadata of every live broker satisfies `condition`."""
    request = metadata_request(topics)
    reach.until_every_broker(lambda address: condition(reach.send(request, address)), deadline, what)


def _until_free(reach: Reach, names: Sequence[str], deadline: float) -> None:
    """Wait until topics of these names can be created: with ZooKeeper, that is later than the last broker
    forgets them.
    """
    topics = [CreatableTopic(name=name, num_partitions=-1, replication_factor=-1) for name in names]
    request = CreateTopicsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS, topics=topics, validate_only=True)
    while True:
        problem = f"the topics {list(names)} cannot be created yet"
        try:
            response = reach.send(request, reach.controller(deadline))
            if all(topic.error_code != ErrorCode.TOPIC_ALREADY_EXISTS for topic in response.topics):
                return
        except (OSError, DecodeError) as error:
            problem = str(error)
        reach.check_time(deadline, problem)
        gevent.sleep(RETRY_SECONDS)
