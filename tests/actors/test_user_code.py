"""Code of the user's that runs in klife's greenlets, or is run by its log, holds up nothing but itself."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from gevent.event import Event

from klife import Client, DeliveryTimeout, Record
from klife.actors.network.connection_actor import ConnectionActor
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.producer.producer_actor import ProducerActor
from klife.protocol.apis.produce import ProduceRequest
from klife_supervision.logs import flush
from tests.support.inside_client import producer_of
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, silent
from tests.support.waiting import wait_until

ORDER = Record("orders", b"v", partition=0)

LogWith = Callable[[Callable[[str], None]], None]


@pytest.fixture
def log_with() -> Iterator[LogWith]:
    """Has structlog write each event by the standard library, whose root handler calls a function with its
    text.
    """
    root, before, handlers = logging.getLogger(), structlog.get_config(), []

    class Handler(logging.Handler):
        def emit(self, line: logging.LogRecord) -> None:
            self.function(line.getMessage())

    def configure(function: Callable[[str], None]) -> None:
        handler = Handler()
        handler.function = function  # type: ignore[attr-defined]
        handlers.append(handler)
        root.addHandler(handler)
        structlog.configure(
            processors=[structlog.processors.KeyValueRenderer()],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        logging.getLogger().setLevel(logging.DEBUG)

    yield configure
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    flush(PATIENCE)
    structlog.configure(**before)


# the log


def test_a_root_handler_that_produces_and_waits_does_not_stop_what_it_waits_for(start_client: Any, log_with: LogWith) -> None:
    lines: list[Any] = []
    with ScriptedCluster() as cluster:
        client = start_client(cluster)

        def to_kafka(line: str) -> None:
            lines.append(client.produce(Record("orders", line.encode(), partition=0)).get(PATIENCE).offset)

        log_with(to_kafka)
        assert client.produce(ORDER).get(PATIENCE).error is None
        cluster[1].cut_all()
        wait_until(lambda: lines)
        assert client.produce(ORDER).get(PATIENCE).error is None
        client.stop(PATIENCE)


def test_a_log_that_hangs_does_not_slow_reconnecting(start_client: Any, log_with: LogWith) -> None:
    release = Event()
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        assert client.produce(ORDER).get(PATIENCE).error is None
        log_with(lambda _line: release.wait() and None)
        for _ in range(3):
            cluster[1].cut_all()
            assert client.produce(ORDER).get(PATIENCE).error is None
        release.set()


DICT_CONFIG = """
from gevent import monkey; monkey.patch_all()
import logging, logging.config, structlog
structlog.configure(logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger)
from klife import Client

class ToKafka(logging.Handler):
    def __init__(self):
        super().__init__()
        self.client = Client.start("127.0.0.1:1", max_block_ms=100)
    def emit(self, line):
        pass

logging.config.dictConfig({
    "version": 1,
    "handlers": {"kafka": {"()": ToKafka}},
    "root": {"handlers": ["kafka"], "level": "DEBUG"},
})
[handler] = logging.getLogger().handlers
logging.getLogger().warning("a line")
print("configured", handler.client.stop(1).undelivered)
"""


def test_a_logging_handler_may_start_a_client_in_its_constructor() -> None:
    done = subprocess.run([sys.executable, "-c", DICT_CONFIG], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "configured 0\n", done.stderr


# the actors


def test_a_delivery_ends_in_time_though_the_producer_s_actor_is_held_up(start_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    release, stuck = Event(), Event()
    with ScriptedCluster() as cluster:
        cluster[1].always(ProduceRequest, silent)
        client = start_client(cluster, delivery_timeout_ms=1_500, request_timeout_ms=1_000, linger_ms=0)
        client.wait_ready(PATIENCE)

        def held_up(_actor: ProducerActor) -> None:
            stuck.set()
            release.wait()

        monkeypatch.setattr(ProducerActor, "on_wake", held_up)
        delivery = client.produce(ORDER)
        with pytest.raises(DeliveryTimeout):
            delivery.get(PATIENCE)
        assert stuck.is_set()
        release.set()


@pytest.mark.parametrize("actor", [ConnectionActor, BatcherActor, ProducerActor])
def test_what_runs_in_an_actor_may_produce_but_is_refused_a_wait_at_once(
    start_client: Any, monkeypatch: pytest.MonkeyPatch, actor: Any
) -> None:
    met: list[Any] = []
    with ScriptedCluster() as cluster:
        client: Client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        on_wake = actor.on_wake

        def with_a_destructor(self: Any) -> None:
            if not met:
                met.append("begun")
                met[:] = [client.produce(ORDER)]
                for wait in (met[0].get, lambda: client.produce(Record("never-heard-of", b"")), client.flush):
                    with pytest.raises(RuntimeError, match="wait in a greenlet") as refused:
                        wait()
                    met.append(str(refused.value))
            on_wake(self)

        monkeypatch.setattr(actor, "on_wake", with_a_destructor)
        producer_of(client).wake()
        client.produce(ORDER).get(PATIENCE)
        wait_until(lambda: len(met) == 4)
        assert met[0].get(PATIENCE).error is None
