"""Requests that change topics, where brokers do them twice or somebody else is quicker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from klife.admin import AdminClient, AdminError, NewTopic
from klife.protocol.apis.create_partitions import CreatePartitionsRequest
from klife.protocol.apis.create_topics import CreateTopicsRequest
from klife.protocol.apis.delete_topics import DeleteTopicsRequest
from klife.testing.fake import FakeCluster
from klife.testing.fake import answers as fake_answers

Answer = Callable[[Any], Any]


def twice(good: Answer) -> Answer:
    """As a broker that passed the request on, saw the controller go, and passed it to the next."""

    def answer(exchange: Any) -> Any:
        good(exchange)
        return good(exchange)

    return answer


def lost_once(good: Answer) -> Answer:
    answered: list[Any] = []

    def answer(exchange: Any) -> Any:
        answered.append(good(exchange))
        if len(answered) == 1:
            raise fake_answers.Cut
        return answered[-1]

    return answer


@pytest.fixture
def kafka() -> Iterator[FakeCluster]:
    with FakeCluster(topics={"orders": 3}) as cluster:
        yield cluster


@pytest.fixture
def admin(kafka: FakeCluster) -> Iterator[AdminClient]:
    with AdminClient(kafka.bootstrap_servers, timeout=5.0) as client:
        yield client


@pytest.fixture(params=[twice, lost_once])
def done_twice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (CreateTopicsRequest, CreatePartitionsRequest, DeleteTopicsRequest):
        monkeypatch.setitem(fake_answers._ANSWERS, kind, request.param(fake_answers._ANSWERS[kind]))


def partitions(admin: AdminClient) -> dict[str, int]:
    return {name: len(found) for name, found in admin.describe_topics().items()}


@pytest.mark.usefixtures("done_twice")
def test_what_was_done_by_ones_own_earlier_try_is_a_success(admin: AdminClient) -> None:
    admin.create_topics([NewTopic("parcels", partitions=2, replication_factor=1), NewTopic("letters")])
    assert partitions(admin) == {"letters": 1, "orders": 3, "parcels": 2}


@pytest.mark.usefixtures("done_twice")
def test_partitions_that_ones_own_earlier_try_added_are_a_success(admin: AdminClient) -> None:
    admin.create_partitions("orders", 4)
    assert partitions(admin) == {"orders": 4}


@pytest.mark.usefixtures("done_twice")
def test_a_topic_that_ones_own_earlier_try_deleted_is_a_success(admin: AdminClient) -> None:
    admin.delete_topics(["orders"])
    assert partitions(admin) == {}


@pytest.mark.usefixtures("done_twice")
def test_what_was_so_before_is_refused_whatever_was_lost(admin: AdminClient) -> None:
    with pytest.raises(AdminError, match="cannot create topic 'orders': TOPIC_ALREADY_EXISTS"):
        admin.create_topics([NewTopic("orders", partitions=3)])
    with pytest.raises(AdminError, match="cannot extend topic 'orders': INVALID_PARTITIONS"):
        admin.create_partitions("orders", 3)
    with pytest.raises(AdminError, match="cannot delete topic 'parcels': UNKNOWN_TOPIC_OR_PARTITION"):
        admin.delete_topics(["parcels"])


def test_a_topic_that_somebody_else_made_meanwhile_is_refused_where_it_is_another(
    admin: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = fake_answers._ANSWERS[CreateTopicsRequest]

    def too_late(exchange: Any) -> Any:
        exchange.cluster.add_topic("parcels", 2)
        return good(exchange)

    monkeypatch.setitem(fake_answers._ANSWERS, CreateTopicsRequest, too_late)
    with pytest.raises(
        AdminError, match=r"'parcels': TOPIC_ALREADY_EXISTS.* \(made meanwhile with partitions=2, 6 asked for; replication_factor=1, 3 "
    ) as caught:
        admin.create_topics([NewTopic("parcels", partitions=6, replication_factor=3)])
    assert caught.value.error_code == 36
    assert partitions(admin) == {"orders": 3, "parcels": 2}


def test_partitions_that_somebody_else_added_meanwhile_are_refused_where_they_are_more(
    admin: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = fake_answers._ANSWERS[CreatePartitionsRequest]

    def too_late(exchange: Any) -> Any:
        exchange.cluster.grow(exchange.cluster.topics["orders"], 6)
        return good(exchange)

    monkeypatch.setitem(fake_answers._ANSWERS, CreatePartitionsRequest, too_late)
    with pytest.raises(AdminError, match=r"'orders': INVALID_PARTITIONS.* \(somebody else gave it 6 meanwhile; 4 were asked for\)"):
        admin.create_partitions("orders", 4)
