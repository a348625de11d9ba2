"""`ProducerStatus`: a producer at one moment, as `Client.status` shows it."""

from __future__ import annotations

from dataclasses import dataclass

from klife.actors.producer.producer import Producer


@dataclass(frozen=True, slots=True)
class ProducerStatus:
    """A producer: its identity, its records by outcome, and its requests. Counters run from the client's
    start.
    """

    name: str
    producer_id: int | None
    producer_epoch: int | None
    delivered: int
    failed: int
    unsettled: int
    requests: int
    retries: int


def producer_status(producer: Producer) -> ProducerStatus:
    """The producer as a frozen value."""
    identity = producer.identity
    return ProducerStatus(
        name=producer.settings.name,
        producer_id=identity.producer_id if identity is not None else None,
        producer_epoch=identity.epoch if identity is not None else None,
        delivered=producer.settlement.delivered_records,
        failed=producer.settlement.failed_records,
        unsettled=producer.unsettled,
        requests=producer.requests,
        retries=producer.retries,
    )
