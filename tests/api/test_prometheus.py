"""Metrics for Prometheus: that they count what happened, and what they rely on in prometheus_client."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from klife import Client, Record
from klife.hooks import DeliveredBatch
from klife.metrics.collectors import DELIVERY_BUCKETS
from klife.metrics.prometheus import PrometheusHooks, _Times
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode
from klife_supervision import let_hub_run
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, cut, refuse
from tests.support.waiting import wait_until

ORDER = Record("orders", b"0123456789", partition=0)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"klife_{name}", {"client": "shop", **labels})


OF_TOPIC = {"producer": "klife_default_producer", "topic": "orders"}


def test_they_count_what_happened(registry: CollectorRegistry, never_late: None) -> None:
    with ScriptedCluster() as cluster:
        client = Client.start(cluster.bootstrap_servers, name="shop", hooks=[PrometheusHooks(registry)], retry_backoff_ms=5)
        client.produce_batch([ORDER] * 10).get(PATIENCE)
        client.produce(ORDER).get(PATIENCE)
        wait_until(lambda: value(registry, "records_delivered_total", **OF_TOPIC) == 11)
        cluster[1].script(ProduceRequest, cut, refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED))
        assert client.produce(ORDER).exception(PATIENCE) is not None
        client.stop(PATIENCE)
    assert value(registry, "delivery_seconds_count", **OF_TOPIC) == 2
    assert value(registry, "delivery_seconds_bucket", **OF_TOPIC, le="120.0") == 2
    assert 0 < value(registry, "delivery_seconds_sum", **OF_TOPIC) < 2 * PATIENCE  # type: ignore[operator]
    assert value(registry, "bytes_delivered_total", **OF_TOPIC) >= 110  # type: ignore[operator]
    assert value(registry, "batch_retries_total", **OF_TOPIC) == 1
    assert value(registry, "records_failed_total", **OF_TOPIC, error="ProduceError", possibly_persisted="true") == 1
    assert value(registry, "request_seconds_count", broker="1", api="Produce") == 3
    assert value(registry, "request_errors_total", broker="1", api="Produce") == 1
    assert value(registry, "connections_total", broker="1", state="ready") >= 2  # type: ignore[operator]
    assert (value(registry, "buffer_bytes"), value(registry, "buffer_limit_bytes")) == (0, 33554432)
    assert value(registry, "records_unsettled") == 0
    assert value(registry, "hub_gap_seconds_max") is not None


def test_clients_with_hooks_of_their_own_count_in_the_same_metrics(registry: CollectorRegistry) -> None:
    with ScriptedCluster() as cluster:
        for name in ("shop", "shop", "bar"):
            client = Client.start(cluster.bootstrap_servers, name=name, hooks=[PrometheusHooks(registry)])
            client.produce(ORDER).get(PATIENCE)
            client.stop(PATIENCE)
    assert value(registry, "records_delivered_total", **OF_TOPIC) == 2
    assert registry.get_sample_value("klife_records_delivered_total", {"client": "bar", **OF_TOPIC}) == 1


def test_metrics_that_were_unregistered_are_made_again(registry: CollectorRegistry) -> None:
    PrometheusHooks(registry)
    for collector in set(registry._collector_to_names):
        registry.unregister(collector)
    assert b"klife_" not in generate_latest(registry)
    PrometheusHooks(registry)
    assert b"klife_records_delivered_total" in generate_latest(registry)


def test_a_name_that_is_somebody_elses_is_said(registry: CollectorRegistry) -> None:
    Counter("klife_bytes_delivered", "not klife's", registry=registry)
    with pytest.raises(ValueError, match="klife_bytes_delivered"):
        PrometheusHooks(registry)


def test_a_hub_that_did_not_run_is_seen(registry: CollectorRegistry) -> None:
    import time

    with ScriptedCluster() as cluster:
        client = Client.start(cluster.bootstrap_servers, name="shop", hooks=[PrometheusHooks(registry)])
        client.wait_ready(PATIENCE)
        gevent.sleep(0.2)
        time.sleep(0.5)  # holds the hub
        gevent.sleep(0.2)
        client.stop(PATIENCE)
    assert value(registry, "hub_gap_seconds_max") >= 0.3  # type: ignore[operator]


def test_the_hub_runs_while_what_was_heard_of_many_topics_is_written(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(let_hub_run, "TURN_SECONDS", 0)  # each turn is over at once
    hooks, turns, loop = PrometheusHooks(registry), [], gevent.get_hub().loop
    really = hooks._metrics.of_topic

    def noted(*labels: str) -> Any:
        turns.append(loop.iteration)
        return really(*labels)

    hooks._metrics.of_topic = noted
    for number in range(20):
        hooks.on_delivered(DeliveredBatch("client", "producer", f"topic-{number}", 0, 1, 10, 0.01, 0, 0))
    wait_until(lambda: len(turns) == 20)
    assert len(set(turns)) == 20


def test_what_was_added_up_goes_into_a_histogram_as_if_it_had_observed_each(registry: CollectorRegistry) -> None:
    times = _Times(DELIVERY_BUCKETS)
    added = Histogram("added", "", registry=registry, buckets=DELIVERY_BUCKETS)
    observed = Histogram("observed", "", registry=registry, buckets=DELIVERY_BUCKETS)
    for seconds in (0.0, 0.001, 0.0011, 0.3, 60.0, 120.0, 121.0, 1e9):
        times.observe(seconds)
        observed.observe(seconds)
    times.add_to(added)

    def lines(name: str) -> list[Any]:
        shown = generate_latest(registry).decode().splitlines()
        return [line.removeprefix(name) for line in shown if line.startswith(name) and "_created" not in line]

    assert lines("added")
    assert lines("added") == lines("observed")
