"""The client's supervision tree: child specs only.

    client (one_for_one)
    ├─ connections (dynamic) ── ConnectionActor × broker (and bootstrap address)
    ├─ metadata                 MetadataActor
    ├─ producer NAME × n (rest_for_one)
    │    ├─ producer            ProducerActor
    │    └─ batchers (dynamic) ── BatcherActor × broker × batchers_count
    └─ gate                     flushes when an orderly stop begins

Connections come before metadata, which needs them; the gate comes last, because the last child is the first to be stopped. In a
producer, the batchers come after the actor that gives them work: if that one crashes, they are started anew with it.

A dynamic supervisor forgets its children when it is restarted itself, so its start function adds them again from the engine's state.

How many restarts, and who gives up: see docs/supervision.md. An actor here crashes for a bug, never because a broker is away (that
is a state with a backoff). Scattered faults must cost a restart each and nothing else, for as long as they go on: each supervisor
stands a hundred in ten seconds. A child that crashes faster than ten times a second uses them up, and then its supervisor's end is the
client's (`significant`): a supervisor between the two would start the same actors on the same state once more, and only a new client
has a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from klife.actors.drain_on_stop import DrainOnStop
from klife.actors.engine import Engine
from klife.actors.metadata.metadata_actor import MetadataActor
from klife.actors.network.broker import Broker
from klife.actors.network.connection_actor import ConnectionActor
from klife.actors.producer.batcher import Batcher
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.producer.producer import Producer
from klife.actors.producer.producer_actor import ProducerActor
from klife_supervision import AlreadyStarted, ChildSpec, DynamicSupervisor, SupervisionError, Supervisor

INTENSITY = 100
PERIOD = 10.0


def children(engine: Engine, flush_timeout: float) -> list[ChildSpec]:
    """The children of a client's supervisor, in the order they are started."""
    connections = _Children(engine.metadata.brokers, lambda broker: _connection(engine, broker))
    return [
        connections.spec("connections"),
        ChildSpec(id="metadata", start=lambda: MetadataActor.start(engine.metadata, connections.start_child, connections.stop_child)),
        *(_producer(engine, producer) for producer in engine.producers.values()),
        ChildSpec(id="gate", start=lambda: DrainOnStop.start(engine, flush_timeout), shutdown=flush_timeout + 2.0),
    ]


def _producer(engine: Engine, producer: Producer) -> ChildSpec:
    batcher_actors = _Children(producer.routing.batchers, lambda batcher: _batcher(engine, producer, batcher))
    return Supervisor.child_spec(
        id=f"producer {producer.settings.name}",
        strategy="rest_for_one",
        intensity=INTENSITY,
        period=PERIOD,
        auto_shutdown="any_significant",
        restart="transient",
        significant=True,
        children=[
            ChildSpec(
                id="producer",
                start=lambda: ProducerActor.start(producer, engine.metadata, batcher_actors.start_child, batcher_actors.stop_child),
            ),
            batcher_actors.spec("batchers"),
        ],
    )


def _connection(engine: Engine, broker: Broker) -> ChildSpec:
    name = f"broker {broker.node_id}" if broker.node_id >= 0 else f"bootstrap {broker.address}"
    return ChildSpec(
        id=name, start=lambda: ConnectionActor.start(broker, lambda _broker: engine.metadata.request_refresh()), shutdown=2.0
    )


def _batcher(engine: Engine, producer: Producer, batcher: Batcher) -> ChildSpec:
    name = f"batcher {batcher.node_id}.{batcher.index}"
    return ChildSpec(id=name, start=lambda: BatcherActor.start(producer, batcher, engine.metadata))


class _Children:
    """The children of a dynamic supervisor: one for each plain value (broker, batcher) that wants an actor."""

    def __init__(self, values: dict[Any, Any], spec_of: Callable[[Any], ChildSpec]) -> None:
        self._values = values
        self._spec_of = spec_of
        self._supervisor: Any = None

    def spec(self, supervisor_id: str) -> ChildSpec:
        """The supervisor's own spec; started again, it starts its children again."""
        spec = DynamicSupervisor.child_spec(id=supervisor_id, intensity=INTENSITY, period=PERIOD, restart="transient", significant=True)

        def start() -> Any:
            supervisor = spec.start()
            try:
                for value in list(self._values.values()):
                    supervisor.start_child(self._spec_of(value))
                    value.has_actor = True
            except BaseException:
                supervisor.kill()
                raise
            self._supervisor = supervisor
            return supervisor

        return replace(spec, start=start)

    def start_child(self, value: Any) -> None:
        """Start the actor of a new value.

        Raises:
            SupervisionError: the supervisor is not there just now, or the actor could not be started.
        """
        if self._supervisor is None:
            raise SupervisionError("the supervisor has not been started yet")
        with suppress(AlreadyStarted):  # by a caller that was killed before it could note it
            self._supervisor.start_child(self._spec_of(value))
        value.has_actor = True

    def stop_child(self, value: Any) -> None:
        """Stop the actor of a value that is about to go, or that gets another one if it does not."""
        value.has_actor = False
        if self._supervisor is not None:
            with suppress(SupervisionError):  # it has no such child, or is not there: then there is nothing to stop
                self._supervisor.terminate_child(self._spec_of(value).id)
