"""Answers about thousands of partitions: read in a thread, and then as good as any other."""

from __future__ import annotations

from typing import Any

import pytest

from klife import Record
from klife.actors.metadata.metadata_actor import MetadataActor
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.errors import DecodeError
from klife.protocol.metadata_wire import LARGE, MetadataQuery, Undecoded
from tests.support.scripted_broker import Exchange, ScriptedCluster
from tests.support.waiting import wait_until

PATIENCE = 10.0
TOPICS = {f"topic-{number}": 4 for number in range(300)}
NAMES = [{"name": name} for name in TOPICS]


@pytest.fixture
def read_in_thread(monkeypatch: pytest.MonkeyPatch) -> list[Undecoded]:
    """The answers that were read in a thread."""
    read: list[Undecoded] = []
    really = MetadataActor._read_in_thread

    def spy(self: MetadataActor, answer: Undecoded) -> Any:
        read.append(answer)
        return really(self, answer)

    monkeypatch.setattr(MetadataActor, "_read_in_thread", spy)
    return read


def test_all_of_it_is_known(start_client: Any, read_in_thread: list[Undecoded]) -> None:
    with ScriptedCluster(brokers=2, topics=TOPICS) as cluster:
        cluster.move("topic-7", 3, 2)
        client = start_client(cluster, topics=NAMES)
        assert [partition.leader for partition in client.partitions("topic-7")] == [1, 1, 1, 2]
        assert all(len(client.partitions(name)) == count for name, count in TOPICS.items())
        assert client.produce(Record("topic-7", b"v", partition=3)).get(PATIENCE).offset == 0
        assert read_in_thread


def test_small_answers_are_read_at_once(start_client: Any, read_in_thread: list[Undecoded]) -> None:
    with ScriptedCluster(topics=TOPICS) as cluster:
        client = start_client(cluster)
        assert len(client.partitions("topic-7")) == 4
        assert read_in_thread == []


def test_one_that_ends_too_early_is_asked_for_again(
    start_client: Any, read_in_thread: list[Undecoded], capfd: pytest.CaptureFixture[str]
) -> None:
    def ends_too_early(exchange: Exchange) -> None:
        frame = exchange.frame(exchange.good_answer())[4:-100]
        exchange.sock.sendall(len(frame).to_bytes(4, "big") + frame)

    with ScriptedCluster(topics=TOPICS) as cluster:
        cluster[1].script(MetadataRequest, ends_too_early, ends_too_early)
        client = start_client(cluster, topics=NAMES)
        assert len(client.partitions("topic-299")) == 4
        assert len(read_in_thread) >= 3
    assert capfd.readouterr().err == ""  # where the thread pool would print a traceback


def test_a_leader_that_was_told_of_meanwhile_is_not_forgotten(start_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedCluster(brokers=2, topics=TOPICS) as cluster:
        client = start_client(cluster, topics=NAMES)
        [partition, *_] = client.partitions("topic-7")
        known = client._handle.engine.metadata
        topic_id = known.snapshot.topics["topic-7"].topic_id
        really = MetadataActor._read_in_thread

        def while_it_is_read(self: MetadataActor, answer: Undecoded) -> Any:
            read = really(self, answer)
            known.leader_hint("topic-7", topic_id, 0, 2, partition.leader_epoch + 1, None)
            return read

        monkeypatch.setattr(MetadataActor, "_read_in_thread", while_it_is_read)

        def asked() -> int:
            return sum(len(broker.got(MetadataRequest)) for broker in cluster.brokers.values())

        before, published = asked(), known.snapshot
        known.request_refresh()
        wait_until(lambda: asked() > before and known.snapshot is not published)
        assert client.partitions("topic-7")[0].leader == 2


def test_an_undecoded_answer_is_what_was_sent() -> None:
    request = MetadataQuery(MetadataRequest(topics=[]))
    assert b"".join(request.encode_parts(12)) == MetadataRequest(topics=[]).encode(12)
    with pytest.raises(DecodeError):
        Undecoded(bytes(LARGE), 12, 0).decode()
