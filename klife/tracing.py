"""Traces by OpenTelemetry: `Client.start(..., hooks=[TracingHooks()])`, with the extra `otel`.

Where a record is produced inside of a span, it gets a span of its own, of kind PRODUCER, and carries that
one's context in its headers (`traceparent`, by the propagator that is configured), so that whoever consumes it
can go on with the trace. The span ends with the record's outcome. Outside of any span nothing is done.

Names are those of the semantic conventions for messaging and for Kafka, all in one table below. Keys and
values of records are in none.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from klife.hooks import DeliveredBatch, FailedBatch, Hooks
from klife.record import Record
from klife.version import __version__


class Names:
    """The attributes of a span, as OpenTelemetry's conventions call them."""

    SYSTEM = "messaging.system"  # "kafka"
    OPERATION = "messaging.operation.name"  # "send"
    OPERATION_TYPE = "messaging.operation.type"  # "send"
    TOPIC = "messaging.destination.name"
    PARTITION = "messaging.destination.partition.id"
    OFFSET = "messaging.kafka.offset"
    TOMBSTONE = "messaging.kafka.message.tombstone"  # only where it is one
    SIZE = "messaging.message.body.size"
    ERROR = "error.type"


_SEND = "send"
_MOST = 100_000  # spans without an end; beyond that the oldest are ended without one


class TracingHooks(Hooks):
    """Makes a span for each record that is produced inside of one. `tracer_provider` is the global one unless
    given.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._provider = tracer_provider
        self._tracer: Any = None
        self._spans: dict[Any, Span] = {}  # by the headers that were put on their records

    def on_produce(self, record: Record[Any, Any]) -> Record[Any, Any]:
        parent = trace.get_current_span()
        if not parent.get_span_context().is_valid:
            return record
        if self._tracer is None:  # not before: an application may set its provider after it has made us
            self._tracer = trace.get_tracer("klife", __version__, self._provider)
        attributes: dict[str, Any] = {
            Names.SYSTEM: "kafka",
            Names.OPERATION: _SEND,
            Names.OPERATION_TYPE: _SEND,
            Names.TOPIC: record.topic,
        }
        if record.value is None or isinstance(record.value, bytes):
            attributes[Names.SIZE] = len(record.value or b"")
        if record.value is None:
            attributes[Names.TOMBSTONE] = True
        span = self._tracer.start_span(f"{_SEND} {record.topic}", kind=SpanKind.PRODUCER, attributes=attributes)
        carrier: dict[str, str] = {}
        propagate.inject(carrier, context=trace.set_span_in_context(span))
        ours = tuple((name, text.encode()) for name, text in carrier.items())
        if not ours:  # the configured propagator writes nothing, by which its outcome could be told
            span.end()
        elif span.is_recording():
            self._remember(ours[0], span)
        others = tuple(header for header in record.headers if header[0] not in carrier)
        return Record(
            topic=record.topic,
            value=record.value,
            key=record.key,
            headers=(*others, *ours),
            partition=record.partition,
            timestamp_ms=record.timestamp_ms,
        )

    def on_refused(self, record: Record[Any, Any], error: Any) -> None:
        span = self._span_of(record)
        if span is not None:
            _end(span, error)

    def on_delivered(self, batch: DeliveredBatch) -> None:
        if self._spans:
            for result in batch.results():
                span = self._span_of(result)
                if span is not None:
                    _tell_of(span, result)
                    if result.offset is not None:
                        span.set_attribute(Names.OFFSET, result.offset)
                    span.end()

    def on_failed(self, batch: FailedBatch) -> None:
        if self._spans:
            for result in batch.results():
                span = self._span_of(result)
                if span is not None:
                    _tell_of(span, result)
                    _end(span, batch.error)

    def _remember(self, header: Any, span: Span) -> None:
        while len(self._spans) >= _MOST:
            self._spans.pop(next(iter(self._spans))).end()
        self._spans[header] = span

    def _span_of(self, record: Record[Any, Any]) -> Span | None:
        """The span that was begun for `record`, once: by a header that no other record has."""
        for header in reversed(record.headers):
            span = self._spans.pop(header, None)
            if span is not None:
                return span
        return None


def _tell_of(span: Span, result: Record) -> None:
    """What is known of a record once it has its partition. Its value is bytes by then, whatever it was before."""
    span.set_attribute(Names.PARTITION, str(result.partition))
    span.set_attribute(Names.SIZE, len(result.value or b""))


def _end(span: Span, error: BaseException) -> None:
    span.set_attribute(Names.ERROR, type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR, str(error)))
    span.end()
