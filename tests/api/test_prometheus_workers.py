"""Several workers of a real gunicorn count together: whoever is scraped tells of all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import gevent
import pytest
from gevent import get_hub, socket

from tests.support import ROOT, importing_tests
from tests.support.dashboard import asked, exported, panels
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.waiting import wait_until

WORKERS, AT_START, ORDERS = 4, 5, 60
DASHBOARD = ROOT / "klife" / "metrics" / "grafana-dashboard.json"
APP = """
import os
from klife import Client, Record
from klife.metrics.prometheus import PrometheusHooks
from prometheus_client import CollectorRegistry, generate_latest, multiprocess

client = Client.start(os.environ["SERVERS"], name="shop", hooks=[PrometheusHooks()])

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        client.produce(Record("orders", environ["PATH_INFO"].encode(), partition=0)).get(30)
        body = b"taken"
    start_response("200 OK", [("Content-Length", str(len(body))), ("Connection", "close")])
    return [body]
"""
CONF = """
import os
from prometheus_client import multiprocess

def post_worker_init(worker):
    from app import Record, client
    for _ in range(5):
        client.produce(Record("orders", b"at start", partition=0)).get(30)
    open(f"ready-{os.getpid()}", "w").close()

def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)

def worker_exit(server, worker):
    if worker.pid == os.getpid():  # else it has vanished, and this is the master
        from app import client
        client.stop(10)
"""


def get(port: int, path: str) -> str:
    head, body = answer_to(port, path)
    assert " 200 " in head, (head, body)
    return body


def scrape(port: int) -> str:
    """What a Prometheus gets, which asks again: while another worker makes its file of metrics that is empty for an
    instant, and prometheus_client raises.
    """

    def metrics() -> str:
        head, body = answer_to(port, "/metrics")
        return body if " 200 " in head else ""

    return wait_until(metrics)


def answer_to(port: int, path: str) -> tuple[str, str]:
    """The line that says how it went, and the body."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return head.splitlines()[0], body


def delivered(metrics: str) -> float:
    return sum(map(float, re.findall(r"^klife_records_delivered_total\{.*\} (\S+)$", metrics, re.MULTILINE)))


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ready(folder: Path) -> list[int]:
    """The workers that have produced what they do at their start."""
    return [int(path.name.removeprefix("ready-")) for path in folder.glob("ready-*")]


def stopped(gunicorn: subprocess.Popen[str]) -> int:
    gunicorn.send_signal(signal.SIGTERM)
    code: int = get_hub().threadpool.apply(gunicorn.wait, (60,))
    return code


def test_a_scrape_of_any_worker_has_what_all_have_delivered(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "gunicorn.conf.py").write_text(CONF)
    (tmp_path / "metrics").mkdir()
    port = unused_port()
    with ScriptedCluster() as cluster, (tmp_path / "log").open("w") as log:
        environ = {**importing_tests(), "SERVERS": cluster.bootstrap_servers, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
        command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", str(WORKERS), "-b", f"127.0.0.1:{port}", "app:app"]
        gunicorn = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=log, stderr=log, text=True)
        try:
            wait_until(lambda: len(ready(tmp_path)) == WORKERS, 60)
            asked = [gevent.spawn(get, port, f"/order/{number}") for number in range(ORDERS)]
            gevent.joinall(asked, raise_error=True)
            produced = WORKERS * AT_START + ORDERS
            wait_until(lambda: delivered(scrape(port)) == produced)
            assert [delivered(scrape(port)) for _ in range(8)] == [produced] * 8  # whoever answers
            wait_until(lambda: scrape(port).count("klife_buffer_limit_bytes{") == 1)  # of all together
            assert re.search(r"^klife_delivery_seconds_bucket\{.*le=\"\+Inf\".*\} ", scrape(port), re.MULTILINE)
            os.kill(ready(tmp_path)[0], signal.SIGKILL)  # what it had delivered stays delivered
            wait_until(lambda: len(ready(tmp_path)) == WORKERS + 1, 60)
            produced += AT_START
            wait_until(lambda: delivered(scrape(port)) == produced)
            assert stopped(gunicorn) == 0, (tmp_path / "log").read_text()
        finally:
            if gunicorn.poll() is None:
                gunicorn.kill()
                get_hub().threadpool.apply(gunicorn.wait)
        assert len(cluster.log("orders")) == produced


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    plain, there = asked(DASHBOARD), exported()
    assert plain <= there, plain - there
    assert {"klife_records_delivered_total", "klife_records_failed_total", "klife_delivery_seconds", "klife_buffer_bytes"} <= plain
    assert [panel["title"] for panel in panels(DASHBOARD) if panel["type"] == "timeseries" and not panel.get("targets")] == []
    ids = [panel["id"] for panel in panels(DASHBOARD)]
    assert len(ids) == len(set(ids))


@pytest.fixture(autouse=True)
def _no_environ_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
