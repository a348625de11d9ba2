"""Looks inside a running client: its tree, a broker in its status, its producer's state."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any

from klife import Client
from klife.actors import engine as engines
from klife.actors.producer.producer import Producer


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
    (producer,) = engine.producers.values()
    return producer


def let_deadlines_pass(client: Client) -> None:
    """All that the producer has not settled expires now."""
    producer = producer_of(client)
    producer.expire(monotonic() + producer.settings.delivery_timeout + 1)
