"""What a client asks its cluster about topics: when, which of them, and whether they may be created."""

from __future__ import annotations

from time import monotonic
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, ProduceError, Record
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after, silent
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until, wait_until_known


def asked(cluster: ScriptedCluster) -> list[tuple[set[str | None], bool]]:
    """The Metadata requests so far: the names in them, and whether they may create topics."""
    return [
        ({topic.name for topic in exchange.request.topics or []}, exchange.request.allow_auto_topic_creation)
        for broker in cluster.brokers.values()
        for exchange in broker.got(MetadataRequest)
    ]


def created(cluster: ScriptedCluster) -> set[tuple[Any, ...]]:
    """What requests that may create topics have named."""
    return {tuple(sorted(map(str, names))) for names, creates in asked(cluster) if creates}


def refreshed(client: Client, cluster: ScriptedCluster, name: str) -> None:
    """Return when a refresh that names `name` was answered."""
    seen, before = client._handle.engine.metadata, len(asked(cluster))
    published = seen.snapshots_seen
    seen.request_refresh()
    wait_until(lambda: seen.snapshots_seen != published and any(name in names for names, _ in asked(cluster)[before:]), PATIENCE)


# creating


def test_a_produce_creates_its_topic_and_no_other(start_client: Any) -> None:
    with ScriptedCluster(topics={"kept": 1}, auto_create=2) as cluster:
        client = start_client(cluster, topics=[{"name": "configured"}])
        client.partitions("kept")
        looking = gevent.spawn(client.partitions, "looked-at")
        assert client.produce(Record("missing", b"v")).get(PATIENCE).offset == 0
        assert set(cluster.topics) == {"kept", "missing"}
        assert created(cluster) == {("missing",)}
        assert not looking.ready()
        cluster.create_topic("looked-at", 1)
        assert len(looking.get(timeout=PATIENCE)) == 1


def test_a_batch_has_all_its_missing_topics_created_in_one_request(start_client: Any) -> None:
    with ScriptedCluster(topics={"kept": 1}, auto_create=1) as cluster:
        client = start_client(cluster)
        names = ["a", "kept", "b", "c"]
        results = client.produce_batch([Record(name, b"v") for name in names]).get(PATIENCE)
        assert [result.offset for result in results] == [0, 0, 0, 0]
        assert created(cluster) == {("a", "b", "c")}


def test_a_topic_deleted_under_an_idle_client_stays_deleted_whoever_else_is_waited_for(start_client: Any) -> None:
    with ScriptedCluster(topics={"deleted": 1, "kept": 1}, auto_create=1) as cluster:
        client = start_client(cluster, topics=[{"name": "deleted"}])
        for name in ("deleted", "kept"):
            client.produce(Record(name, b"v")).get(PATIENCE)
        del cluster.topics["deleted"]
        client.produce(Record("new", b"v")).get(PATIENCE)
        refreshed(client, cluster, "deleted")
        client.produce(Record("newer", b"v")).get(PATIENCE)
        assert set(cluster.topics) == {"kept", "new", "newer"}
        assert client.produce(Record("deleted", b"again")).get(PATIENCE).offset == 0
        assert cluster.log("deleted") == [b"again"]


def test_records_to_a_topic_that_is_gone_have_it_created_as_those_that_wait_for_it(start_client: Any) -> None:
    with ScriptedCluster(topics={"deleted": 1}, topic_ids=False, auto_create=1) as cluster:
        client = start_client(cluster)
        client.produce(Record("deleted", b"v")).get(PATIENCE)
        del cluster.topics["deleted"]
        assert client.produce(Record("deleted", b"again")).get(PATIENCE).offset == 0  # the client had not heard


# when


def test_topics_used_one_after_the_other_are_each_asked_for_at_once(start_client: Any) -> None:
    names = [f"topic-{number}" for number in range(50)]
    with ScriptedCluster(topics=dict.fromkeys(names, 1)) as cluster:
        client = start_client(cluster)
        client.wait_ready(PATIENCE)
        took = []
        for name in names:
            began = monotonic()
            client.partitions(name)
            took.append(monotonic() - began)
        assert sorted(took)[10] < 0.15  # a fifth of a second if each waited for that; a busy machine holds most of them up


def test_new_topics_do_not_keep_others_from_being_looked_at_again(start_client: Any) -> None:
    with ScriptedCluster(brokers=2, topics={"old": 1, **{f"topic-{number}": 1 for number in range(1000)}}) as cluster:
        client = start_client(cluster, metadata_max_age_ms=100)
        client.partitions("old")
        cluster.move("old", 0, 2)
        with gevent.Timeout(PATIENCE):
            for number in range(1000):
                client.partitions(f"topic-{number}")
                gevent.sleep(0.005)
                if client.partitions("old")[0].leader == 2:
                    return
        raise AssertionError("the leader was not followed while topics were new")


def test_a_broker_that_does_not_answer_holds_nobody_up_who_can_be_told_by_another(start_client: Any) -> None:
    with ScriptedCluster(brokers=2, topics={"orders": 2, "new": 1, "newer": 1}) as cluster:
        cluster.move("orders", 1, 2)
        client = start_client(cluster, request_timeout_ms=30_000, delivery_timeout_ms=60_000)
        for partition in (0, 1):
            client.produce(Record("orders", b"v", partition=partition)).get(PATIENCE)
        cluster[1].always(MetadataRequest, silent)
        with gevent.Timeout(PATIENCE):
            assert len(client.partitions("new")) == 1
            refreshed(client, cluster, "orders")
            assert len(client.partitions("newer")) == 1


def test_a_configured_topic_that_does_not_exist_is_told_once(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 1}) as cluster, told_logs() as logs:
        client = start_client(cluster, topics=[{"name": "nope"}, {"name": "orders"}], max_block_ms=200)
        wait_until_known(client, "orders")
        client.produce(Record("orders", b"v")).get(PATIENCE)
        told = wait_until(lambda: [entry for entry in logs if entry["event"] == "topic_not_found"])
        assert (told[0]["topic"], told[0]["log_level"]) == ("nope", "warning")
        assert "UNKNOWN_TOPIC_OR_PARTITION" in told[0]["error"]
        before = len(asked(cluster))
        cluster[1].wait_for(MetadataRequest, before + 1)
        refreshed(client, cluster, "nope")
        assert not any(creates for _, creates in asked(cluster))
        assert len([entry for entry in logs if entry["event"] == "topic_not_found"]) == 1


def test_a_refusal_of_before_is_not_told_of_a_topic_that_may_be_seen_now(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 1, "secret": 1, "topic-0": 1}) as cluster:
        cluster.hidden.add("secret")
        client = start_client(cluster)
        client.partitions("orders")
        with pytest.raises(ProduceError, match="TOPIC_AUTHORIZATION_FAILED"):
            client.produce(Record("secret", b"v"))
        cluster.hidden.clear()
        held = Event()
        cluster[1].script(MetadataRequest, after(held))
        others = gevent.spawn(client.partitions, "topic-0")  # whose answer comes first, and says nothing of the secret one
        gevent.sleep(0)
        producing = gevent.spawn(client.produce, Record("secret", b"v"))
        gevent.sleep(0)
        held.set()
        assert len(others.get(timeout=PATIENCE)) == 1
        assert producing.get(timeout=PATIENCE).get(PATIENCE).offset == 0


# brokers without topic ids


def test_a_topic_without_an_id_that_was_made_anew_under_an_idle_client_is_followed_to_its_leader(start_client: Any) -> None:
    with ScriptedCluster(brokers=2, topics={"orders": 2}, topic_ids=False) as cluster:
        for _ in range(5):
            cluster.move("orders", 0, 2)
        client = start_client(cluster, delivery_timeout_ms=8_000, request_timeout_ms=2_000)
        assert client.produce(Record("orders", b"old", partition=0)).get(PATIENCE).offset == 0
        cluster.create_topic("orders", 2)  # led by broker 1, under epoch 0
        values = [b"%d" % number for number in range(20)]
        deliveries = [client.produce(Record("orders", value, partition=0)) for value in values]
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == list(range(20))
        assert cluster.log("orders", 0) == values
        assert [number[1:] for number in cluster[1].got(ProduceRequest)[0].numbers] == [(4001, 0, 1)]  # the sequence goes on
