"""Looks inside a running client: its tree, a broker in its status, its producer's state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from klife import Client, NotReady
from klife.actors import engines
from klife.actors.producer.producer import Producer
from klife.actors.producer.producers import Producers
from tests.support.scripted_broker import PATIENCE


def nodes(tree: Any) -> Iterator[Any]:
    """The node and all below it."""
    yield tree
    for child in tree.children:
        yield from nodes(child)


def node(client: Any, name: str) -> Any:
    """The first node whose id begins so."""
    return next(found for found in nodes(client.tree()) if str(found.id).startswith(name))


def named(client: Any, name: str) -> Any:
    """`producer ` is the producer's supervisor, `producer` the worker in it."""
    if name == "producer":
        return next(found for found in nodes(client.tree()) if found.id == "producer")
    return node(client, name)


def broker_status(client: Client, node_id: int | None) -> Any:
    """What the client's status says of this broker; None: it does not know it."""
    return next((broker for broker in client.status().brokers if broker.node_id == node_id), None)


def producer_of(client: Client) -> Producer:
    """The state of the client's only producer."""
    engine = engines.find(client.name)
    assert engine is not None
    (producer,) = engine.part(Producers).by_name.values()
    return producer


def let_deadlines_pass(client: Client) -> None:
    """All that the producer has not settled expires now."""
    producer = producer_of(client)
    producer.expire(monotonic() + producer.settings.delivery_timeout + 1)


def tells_why_it_is_not_ready(client: Client, pattern: str, seconds: float = 0.2) -> None:
    """`wait_ready` raises after `seconds`, and says this; on a busy machine the reason may show at a later
    look.
    """
    deadline = monotonic() + PATIENCE
    told = ""
    while not re.search(pattern, told):
        assert monotonic() < deadline, f"{pattern!r} is not in: {told}"
        with pytest.raises(NotReady) as raised:
            client.wait_ready(seconds)
        told = str(raised.value)
