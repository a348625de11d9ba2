"""`Metadata` by itself: which broker is asked, what news change, who is told, and who waits. No actor, no
socket.
"""

from __future__ import annotations

from time import monotonic
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from klife import ClientClosed
from klife.actors.metadata import metadata as metadata_module
from klife.actors.metadata.metadata import Metadata
from klife.actors.metadata.snapshot import BrokerInfo, ClusterSnapshot, TopicInfo
from klife.actors.network.purpose import Purpose
from klife.api.config import ClientConfig
from klife.api.settings import client_settings
from tests.support.producer_parts import Bell

PATIENCE = 10.0
PRODUCE, CONFIGS = 0, 32


@pytest.fixture
def metadata() -> Metadata:
    return Metadata(client_settings(ClientConfig(bootstrap_servers="here:9092,there:9093", metadata_max_age_ms=60_000), "c"))


def snapshot(*nodes: int, epoch: int = 1) -> ClusterSnapshot:
    brokers = {node_id: BrokerInfo(node_id, f"host{node_id}", 9092) for node_id in nodes}
    return ClusterSnapshot(brokers=brokers, topics={"t": TopicInfo("t", b"\1" * 16, (nodes[0],), (epoch,))})


def broker(
    node_id: int, *, calls: int = 0, serves: tuple[int, ...] = (PRODUCE,), ready: bool = True, purpose: Any = Purpose.REQUESTS
) -> Any:
    """Stands in for a Broker."""
    return SimpleNamespace(
        node_id=node_id,
        purpose=purpose,
        answers_anything=purpose is Purpose.REQUESTS,
        address=f"host{node_id}:9092",
        is_ready=ready,
        calls=[None] * calls,
        connection=SimpleNamespace(ranges=dict.fromkeys(serves, (0, 1))),
        describe=lambda: f"host{node_id}:9092 is away",
    )


def chosen(metadata: Metadata, *brokers: Any, **how: Any) -> int | None:
    metadata.brokers = {(each.node_id, each.purpose): each for each in brokers}
    found = metadata.any_ready_broker(**how)
    return None if found is None else found.node_id


# who is asked


def test_bootstrap_addresses_are_brokers_with_ids_of_our_own(metadata: Metadata) -> None:
    assert [(each.node_id, each.host, each.port) for each in metadata.brokers.values()] == [(-1, "here", 9092), (-2, "there", 9093)]
    assert list(metadata.known_brokers()) == []


def test_a_connection_that_a_broker_may_hold_a_request_on_to_is_not_asked(metadata: Metadata) -> None:
    assert chosen(metadata, broker(1, purpose="long polls")) is None
    assert chosen(metadata, broker(1, purpose="long polls"), broker(2, calls=5)) == 2


def test_a_broker_is_asked_rather_than_a_bootstrap_address_and_the_least_busy_of_them(metadata: Metadata) -> None:
    assert chosen(metadata, broker(-1), broker(1, calls=2), broker(2, calls=1), broker(3, ready=False)) == 2
    assert chosen(metadata, broker(-1), broker(1, ready=False)) == -1
    assert chosen(metadata, broker(-1, ready=False), broker(1, ready=False)) is None


def test_only_bootstrap_addresses_are_asked_where_the_cluster_wants_its_clients_to_start_over(metadata: Metadata) -> None:
    assert chosen(metadata, broker(-1, calls=5), broker(1), bootstrap=True) == -1
    assert chosen(metadata, broker(1), bootstrap=True) is None


def test_one_that_serves_the_request_is_asked_if_any_does(metadata: Metadata) -> None:
    assert chosen(metadata, broker(1), broker(2, calls=3, serves=(PRODUCE, CONFIGS)), api_key=CONFIGS) == 2
    assert chosen(metadata, broker(1), broker(2, calls=3), api_key=CONFIGS) == 1


def test_who_has_not_answered_is_not_asked_again_at_once(metadata: Metadata) -> None:
    silent = broker(1)
    assert chosen(metadata, silent, broker(2, calls=7), other_than=silent) == 2


def test_each_address_tells_its_trouble_and_who_is_connected_that_it_has_not_answered(metadata: Metadata) -> None:
    chosen(metadata, broker(-1, ready=False), broker(-2))
    assert metadata.troubles() == ["host-1:9092 is away", "host-2:9092 is connected, and has not answered Metadata"]
    chosen(metadata)
    assert metadata.troubles() == ["no address was tried yet"]


# news


def test_brokers_follow_their_addresses_and_a_new_one_wakes_the_actor_that_starts_connections(metadata: Metadata) -> None:
    metadata.inbox = bell = Bell()  # type: ignore[assignment]
    metadata.publish(snapshot(1))
    first = metadata.broker(1)
    assert (first.host, bell.rung()) == ("host1", True)
    metadata.publish(ClusterSnapshot(brokers={1: BrokerInfo(1, "moved", 9099)}))
    assert metadata.broker(1) is first
    assert (first.host, first.port, bell.rung()) == ("moved", 9099, False)


def test_a_broker_that_is_not_listed_is_gone_after_metadata_max_age(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    now = monotonic()
    monkeypatch.setattr(metadata_module, "monotonic", lambda: now)
    metadata.publish(snapshot(1, 2))
    metadata.publish(snapshot(1))
    for seconds in (0.0, 59.9):
        monkeypatch.setattr(metadata_module, "monotonic", lambda seconds=seconds: now + seconds)
        metadata.publish(snapshot(1))  # which does not begin anew
        assert not metadata.is_gone(2)
    monkeypatch.setattr(metadata_module, "monotonic", lambda: now + 60.0)
    assert (metadata.is_gone(1), metadata.is_gone(2)) == (False, True)
    metadata.publish(snapshot(1, 2))
    assert not metadata.is_gone(2)


def test_a_hint_is_news_only_if_it_says_something_new(metadata: Metadata) -> None:
    metadata.publish(snapshot(1, 2))
    seen = metadata.snapshots_seen
    metadata.leader_hint("t", b"\1" * 16, 0, 1, 1, None)
    assert metadata.snapshots_seen == seen
    metadata.leader_hint("t", b"\1" * 16, 0, 2, 2, None)
    assert (metadata.snapshots_seen, metadata.snapshot.topics["t"].leaders) == (seen + 1, (2,))


# who waits


def test_a_refresh_that_is_asked_for_without_an_actor_is_what_the_next_one_begins_with(metadata: Metadata) -> None:
    metadata.refresh_wanted = False
    metadata.request_refresh()
    assert metadata.refresh_wanted
    metadata.inbox = bell = Bell()  # type: ignore[assignment]
    metadata.request_refresh()
    assert bell.rung()


def test_who_waits_for_a_topic_is_woken_by_the_answer_that_has_it(metadata: Metadata) -> None:
    waiting = gevent.spawn(metadata.topic, "t", monotonic() + PATIENCE, creates=False)
    gevent.sleep(0)
    metadata.publish(ClusterSnapshot())
    gevent.sleep(0)
    assert not waiting.ready(), "that answer did not have it"
    metadata.publish(snapshot(1))
    assert waiting.get(timeout=PATIENCE).name == "t"


def test_who_waits_for_a_topic_when_the_client_ends_is_told(metadata: Metadata) -> None:
    waiting = gevent.spawn(metadata.topic, "t", monotonic() + PATIENCE, creates=False, so="Nothing was queued")
    gevent.sleep(0)
    metadata.close(lambda so: ClientClosed(f"over. {so}"))
    with pytest.raises(ClientClosed, match=r"over\. Nothing was queued"):
        waiting.get(timeout=PATIENCE)
