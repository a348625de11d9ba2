"""Traces by OpenTelemetry: a span a record, from produce to its outcome, and its context in the headers."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.trace import SpanKind, StatusCode

from klife import Client, Record, SerializationError, UnknownTopic
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode
from klife.tracing import Names, TracingHooks
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, refuse

ORDER = Record("orders", b"v", key=b"k", headers=[("mine", b"1"), ("traceparent", b"of another")], partition=0)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> Any:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider.get_tracer("tests"), TracingHooks(provider)


def parent_of(headers: Any) -> tuple[str, str]:
    """Trace and span of a `traceparent`."""
    _, trace, span, _ = dict(headers)["traceparent"].decode().split("-")
    return trace, span


def test_a_record_in_a_span_has_one_of_its_own_that_ends_with_partition_and_offset(spans: Any, tracing: Any) -> None:
    tracer, hooks = tracing
    with ScriptedCluster() as cluster, Client.start(cluster.bootstrap_servers, hooks=[hooks]) as client:
        with tracer.start_as_current_span("request") as request:
            first = client.produce(ORDER).get(PATIENCE)
            batch = client.produce_batch([Record("orders", None, partition=0)] * 2).get(PATIENCE)
        trace = f"{request.get_span_context().trace_id:032x}"
    *sent, _ = spans.get_finished_spans()
    assert [(span.name, span.kind, span.parent.span_id) for span in sent] == [
        ("send orders", SpanKind.PRODUCER, request.get_span_context().span_id)
    ] * 3
    assert dict(sent[0].attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.message.body.size": 1,
    }
    assert [span.attributes[Names.OFFSET] for span in sent] == [0, 1, 2]
    assert sent[1].attributes[Names.TOMBSTONE] is True
    assert [parent_of(result.headers) for result in (first, *batch)] == [
        (trace, f"{span.get_span_context().span_id:016x}") for span in sent
    ]
    assert [name for name, _ in first.headers] == ["mine", "traceparent"]
    assert not hooks._spans


def test_a_value_that_is_serialised_has_the_size_of_its_bytes(spans: Any, tracing: Any) -> None:
    tracer, hooks = tracing
    topics = [{"name": "orders", "value_serializer": lambda value: b"%d" % value}]
    with (
        ScriptedCluster() as cluster,
        Client.start(cluster.bootstrap_servers, hooks=[hooks], topics=topics) as client,
        tracer.start_as_current_span("request"),
    ):
        client.produce(Record("orders", 12345, partition=0)).get(PATIENCE)
        with pytest.raises(SerializationError):
            client.produce(Record("orders", "text", partition=0))
    sent, refused, _ = spans.get_finished_spans()
    assert sent.attributes[Names.SIZE] == 5
    assert (Names.SIZE in refused.attributes, refused.attributes[Names.ERROR]) == (False, "SerializationError")
    assert not hooks._spans


def test_outside_of_a_span_nothing_is_done(spans: Any, tracing: Any) -> None:
    _, hooks = tracing
    assert hooks.on_produce(ORDER) is ORDER
    with ScriptedCluster() as cluster, Client.start(cluster.bootstrap_servers, hooks=[hooks]) as client:
        assert client.produce(ORDER).get(PATIENCE).headers == tuple(ORDER.headers)
    assert spans.get_finished_spans() == ()


def test_each_greenlet_has_its_own_span(spans: Any, tracing: Any) -> None:
    tracer, hooks = tracing
    with ScriptedCluster() as cluster, Client.start(cluster.bootstrap_servers, hooks=[hooks]) as client:

        def request(number: int) -> None:
            with tracer.start_as_current_span(f"request {number}"):
                gevent.sleep(0.01)
                client.produce(ORDER).get(PATIENCE)

        gevent.joinall([gevent.spawn(request, number) for number in range(5)], raise_error=True)
    done = spans.get_finished_spans()
    requests = {span.context.span_id for span in done if span.name.startswith("request")}
    assert {span.parent.span_id for span in done if span.name == "send orders"} == requests


def test_a_span_ends_with_the_error_of_its_record(spans: Any, tracing: Any) -> None:
    tracer, hooks = tracing
    with ScriptedCluster() as cluster, Client.start(cluster.bootstrap_servers, hooks=[hooks], unknown_topic_ms=50) as client:
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED))
        with tracer.start_as_current_span("request"):
            error = client.produce(ORDER).exception(PATIENCE)
            with pytest.raises(UnknownTopic):
                client.produce(Record("nowhere", b"v"))
    failed, refused, _ = spans.get_finished_spans()
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, str(error))
    assert (failed.attributes["error.type"], refused.attributes["error.type"]) == ("ProduceError", "UnknownTopic")
    assert not hooks._spans


def test_the_names_are_those_of_the_conventions() -> None:
    ours = {value for name, value in vars(Names).items() if not name.startswith("_")}
    theirs = {value for module in (messaging_attributes, error_attributes) for name, value in vars(module).items() if name.isupper()}
    assert ours <= theirs
