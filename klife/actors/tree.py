"""The client's supervision tree: child specs only.

    client (one_for_one)
    ├─ connections (dynamic) ── ConnectionActor × broker and purpose (and bootstrap address)
    ├─ metadata                 MetadataActor
    ├─ producer NAME × n (rest_for_one)
    │    ├─ producer            ProducerActor
    │    └─ batchers (dynamic) ── BatcherActor × broker × batchers_count
    ├─ txn pool NAME × n (rest_for_one)
    │    ├─ pool                PoolActor
    │    └─ producers (dynamic) ── as a producer, with a TransactionalProducerActor
    └─ gate                     flushes when an orderly stop begins

Connections come before metadata, which needs them; the gate comes last, because the last child is the first
to be stopped. In a producer, the batchers come after the actor that gives them work: if that one crashes,
they are started anew with it.

What is between the metadata and the gate are the children of the engine's parts; of those, this client has
producers and pools of transactions.

How many restarts, and who gives up: see docs/supervision.md. An actor here crashes for a bug, never because a
broker is away (that is a state with a backoff). Scattered faults must cost a restart each and nothing else,
for as long as they go on: each supervisor stands a hundred in ten seconds. A child that crashes faster than
ten times a second uses them up, and then its supervisor's end is the client's (`significant`): a supervisor
between the two would start the same actors on the same state once more, and only a new client has a new one.
"""

from __future__ import annotations

from klife.actors.drain_on_stop import DrainOnStop
from klife.actors.dynamic_children import INTENSITY, PERIOD, DynamicChildren
from klife.actors.engine import Engine
from klife.actors.metadata.metadata_actor import MetadataActor
from klife.actors.network.broker import Broker
from klife.actors.network.connection_actor import ConnectionActor
from klife.actors.network.purpose import Purpose
from klife.actors.runtime.ref import GeventActorRef
from klife_supervision import ChildSpec

__all__ = ["INTENSITY", "PERIOD", "children"]


def children(engine: Engine, flush_timeout: float) -> list[ChildSpec]:
    """The children of a client's supervisor, in the order they are started."""
    metadata = engine.metadata
    connections = DynamicChildren(metadata.brokers, lambda broker: _connection(engine, broker))

    def start_metadata() -> GeventActorRef[MetadataActor]:
        return MetadataActor.start(metadata, connections.start_child, connections.stop_child)

    return [
        connections.spec("connections"),
        ChildSpec(id="metadata", start=lambda: metadata.actor.start(start_metadata)),
        *(spec for part in engine.parts for spec in part.children()),
        ChildSpec(id="gate", start=lambda: DrainOnStop.start(engine, flush_timeout), shutdown=flush_timeout + 2.0),
    ]


def _connection(engine: Engine, broker: Broker) -> ChildSpec:
    name = f"broker {broker.node_id}" if broker.node_id >= 0 else f"bootstrap {broker.address}"
    # One child for each Broker: the supervisor takes a second one of the same id for the first.
    child_id = name if broker.purpose is Purpose.REQUESTS else f"{name} {broker.purpose.value}"
    metadata = engine.metadata
    return ChildSpec(
        id=child_id,
        start=lambda: ConnectionActor.start(broker, lambda _broker: metadata.request_refresh(), metadata.connected),
        shutdown=2.0,
    )
