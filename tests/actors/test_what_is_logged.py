"""What a client tells the log: whose it is, what a healthy life looks like, and what becomes of floods."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
import structlog

from klife import NotReady, Record
from klife_supervision import log_repeats, logs
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until

ORDER = Record("orders", b"v", partition=0)


@pytest.fixture
def by_logging(quiet_logs: None) -> Iterator[None]:
    """structlog as nobody has configured it."""
    logs.forget_repeats()
    before = structlog.get_config()
    structlog.reset_defaults()
    yield
    assert logs.flush(PATIENCE)
    logs.forget_repeats()
    structlog.configure(**before)


def _raises(_result: object) -> None:
    raise ValueError("a callback's")


def test_each_event_of_a_client_names_it(start_client: Any) -> None:
    with told_logs() as told, ScriptedCluster() as cluster:
        client = start_client(cluster, name="shop", reconnect_backoff_ms=5, topics=[{"name": "not-there"}])
        client.produce_async(ORDER, _raises)
        client.produce_batch_async([ORDER], _raises)
        client.produce(ORDER).add_done_callback(_raises)
        client.flush(PATIENCE)
        for node in client.tree().children:
            for child in node.children:
                child.kill()
        assert client.produce(ORDER).get(PATIENCE).error is None
        cluster[1].stop()
        wait_until(lambda: any(each["event"] == "connection_failed" for each in told))
        client.stop(0)
        events = list(told)
    assert {"client_connected", "delivery_callback_failed", "child exited", "child restarted", "client_stopped"} <= {
        each["event"] for each in events
    }
    assert [each for each in events if each.get("client") != "shop"] == []


def test_a_healthy_life_is_two_lines(start_client: Any, by_logging: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with ScriptedCluster() as cluster:
        client = start_client(cluster, name="shop")
        client.wait_ready(PATIENCE)
        client.produce(ORDER).get(PATIENCE)
        client.stop(PATIENCE)
    ours = [record for record in caplog.records if record.name.startswith("klife")]
    assert [(record.name, record.event, record.client) for record in ours] == [  # type: ignore[attr-defined]
        ("klife.metadata", "client_connected", "shop"),
        ("klife", "client_stopped", "shop"),
    ]
    assert "client='shop' reason='shutdown' delivered=1 failed=0 undelivered=0" in ours[1].getMessage()


def test_an_outage_is_a_line_for_each_trouble_and_not_for_each_attempt(
    start_client: Any, by_logging: None, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, name="shop", reconnect_backoff_ms=1, reconnect_backoff_max_ms=2)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].stop()
        client.produce(ORDER)
        wait_until(lambda: sum(broker.connects for broker in client.status().brokers) > 50)
        client.stop(0)
    failed = [record.getMessage() for record in caplog.records if getattr(record, "event", "") == "connection_failed"]
    assert failed
    assert len(failed) <= 8  # each address, with what happened first, and then


def test_a_logging_handler_that_produces_with_a_client_that_fails_does_not_go_round_in_circles(
    start_client: Any, by_logging: None
) -> None:
    lines: list[str] = []

    class ToKafka(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name.startswith("klife"):
                lines.append(record.getMessage())
                client.produce_async(Record("orders", lines[-1].encode(), partition=0), _raises)

    handler, root = ToKafka(), logging.getLogger()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, name="shop")
        client.produce(ORDER).get(PATIENCE)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            client.produce_async(ORDER, _raises)
            for _ in range(20):
                client.flush(PATIENCE)
                assert logs.flush(PATIENCE)
        finally:
            root.removeHandler(handler)
            root.setLevel(logging.WARNING)
        client.stop(PATIENCE)
    assert sum(line.startswith("delivery_callback_failed") for line in lines) == 1


def test_the_end_of_an_outage_is_told_once_for_each_broker(
    start_client: Any, by_logging: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with ScriptedCluster() as cluster:
        client = start_client(cluster, name="shop", reconnect_backoff_ms=1, reconnect_backoff_max_ms=2)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].stop()
        delivery = client.produce(ORDER)
        wait_until(lambda: sum(broker.connects for broker in client.status().brokers) > 20)
        cluster[1].listen()
        assert delivery.get(PATIENCE).error is None
        assert client.produce(ORDER).get(PATIENCE).error is None
        client.stop(PATIENCE)
    ours = [record for record in caplog.records if record.name == "klife.connection"]
    known = [(record.event, record.levelname) for record in ours if record.broker == 1]  # type: ignore[attr-defined]
    assert ("connection_failed", "WARNING") in known
    assert [each for each in known if each[0] != "connection_failed"] == [("connection_restored", "INFO")]
    assert known[-1][0] == "connection_restored"


def test_an_address_of_bootstrap_servers_has_no_made_up_id(
    start_client: Any, by_logging: None, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].stop()
        client = start_client(cluster, name="shop")
        wait_until(lambda: any(getattr(record, "event", "") == "connection_failed" for record in caplog.records))
        with pytest.raises(NotReady) as told:
            client.wait_ready(0.05)
        client.stop(0)
    failed = [record for record in caplog.records if getattr(record, "event", "") == "connection_failed"]
    assert {record.broker for record in failed} == {None}  # type: ignore[attr-defined]
    assert "-1" not in str(told.value)


def test_a_count_of_repeats_has_the_time_of_the_last_and_not_that_of_its_telling(
    by_logging: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gevent.get_hub()
    monkeypatch.setattr(log_repeats, "INTERVAL", 1.0)
    for _ in range(2):
        logs.get_logger("klife.connection").warning("connection_failed", broker=1)
    wait_until(lambda: any(hasattr(record, "repeated") for record in caplog.records))
    first, count = caplog.records
    assert count.created < first.created + 1.0  # a trouble that is over would else seem to go on
