"""A real Prometheus scrapes the observed service under gunicorn, by the compose file's own settings, and is asked what
each panel of the dashboard asks. Run by `make monitoring`; the file's name keeps it from being collected by others.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import gevent
import pytest
import yaml

from klife.testing.fake import FakeCluster
from tests.support.dashboard import panels
from tests.support.example import EXAMPLES, Example, running, told
from tests.support.logged_process import logged_process
from tests.support.waiting import wait_until
from tests.support.web_load import Load
from tests.support.web_service import Visitor

DASHBOARD = EXAMPLES.parent / "klife" / "metrics" / "grafana-dashboard.json"
SETTINGS = EXAMPLES / "compose" / "prometheus.yml"
PATIENCE = 60.0
INTERVAL = "10s"  # what Grafana puts for $__rate_interval is four scrapes and more, too
SERVICE = {
    "KLIFE_COMPRESSION_TYPE": "lz4",
    "KLIFE_MAX_BUFFERED_BYTES": "300000",  # one large order, and the next waits for room
    "KLIFE_BATCH_SIZE_BYTES": "100000",
}
UNSEEN = {"klife_throttled_seconds_total"}  # fake brokers have no quotas


@dataclass
class Monitored:
    """The service, its brokers, and the address of the Prometheus that looks at it."""

    kafka: FakeCluster
    service: Example
    prometheus: str

    def asked(self, path: str, **parameters: str) -> Any:
        """What its HTTP API answers."""
        with urlopen(f"{self.prometheus}/api/v1/{path}?{urlencode(parameters)}", timeout=PATIENCE) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def value(self, expression: str) -> float | None:
        """Of an expression with one result, now; None while there is none."""
        found = self.asked("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else None

    def samples(self, expression: str, since: float) -> list[float]:
        """All that a graph of it would show."""
        spans = {"start": str(since), "end": str(time.time()), "step": "1"}
        found = self.asked("query_range", query=expression, **spans)["result"]
        return [float(value) for series in found for _, value in series["values"]]


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[Monitored]:
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [*told("observed_service", "gunicorn"), "--bind", "127.0.0.1:0"]
    with (
        FakeCluster(brokers=2, topics={"orders": 6}) as kafka,
        running("observed_service", command, kafka.bootstrap_servers, tmp_path, SERVICE) as service,
    ):
        settings = yaml.safe_load(SETTINGS.read_text())
        settings["global"]["scrape_interval"] = "1s"
        [job] = settings["scrape_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
        prometheus = shutil.which("prometheus")
        assert prometheus is not None
        started = [prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", f"--web.listen-address={address}"]
        with logged_process(started, tmp_path / "prometheus.log", folder=tmp_path, environ={}):
            found = Monitored(kafka, service, f"http://{address}")
            wait_until(lambda: is_up(found), PATIENCE)
            yield found


def is_up(monitored: Monitored) -> bool:
    try:
        return monitored.value('up{job="shop"}') == 1
    except OSError:
        return False


def everything_happens(monitored: Monitored) -> int:
    """Orders, refused ones, ones that are tried again, brokers that go; how many orders were
    taken."""
    kafka, service = monitored.kafka, monitored.service
    first = Load(service, "/orders", 20, once_ready="/readyz")
    first.wait()
    kafka.fail_next("NOT_ENOUGH_REPLICAS", times=10)
    again = Load(service, "/orders", 5)
    again.wait()
    kafka.fail_next("TOPIC_AUTHORIZATION_FAILED", times=2)
    refused = Load(service, "/orders", 1)
    refused.wait()
    kafka.pause()
    large = [Large(service.port) for _ in range(20)]
    waiting = Load(service, "/orders", 2, large)
    wait_until(lambda: (monitored.value("max(klife_oldest_unsettled_seconds)") or 0) > 1, PATIENCE)
    kafka.stop(2)  # and answers nothing that it was asked
    kafka.start(2)
    kafka.resume()
    waiting.wait()
    assert refused.refusals
    appears(monitored, "klife_records_failed_total", len(refused.refusals))
    return sum(len(load.places) for load in (first, again, refused, waiting))


def appears(monitored: Monitored, counter: str, count: int) -> None:
    """The first of its kind are seen on a graph."""
    since = time.time()
    first = f"({counter} unless {counter} offset {INTERVAL}) or increase({counter}[{INTERVAL}])"
    wait_until(lambda: monitored.value(f"sum({counter})") == count, PATIENCE)
    wait_until(lambda: monitored.value(f"sum({first})") == count, PATIENCE)
    assert not any(monitored.samples(f"sum(rate({counter}[{INTERVAL}]))", since))


class Large(Visitor):
    """Whose orders are so large that a worker has no room for many."""

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        return super().post(path, body.ljust(200_000))


def shows(monitored: Monitored, query: str, since: float) -> bool:
    return any(sample > 0 and math.isfinite(sample) for sample in monitored.samples(query, since))


def test_each_panel_of_the_dashboard_has_something_to_show(monitored: Monitored) -> None:
    since = time.time()
    taken = everything_happens(monitored)
    wait_until(lambda: monitored.value("sum(klife_records_delivered_total)") == taken, PATIENCE)
    assert monitored.asked("label/client/values", **{"match[]": "klife_buffer_limit_bytes"}) == ["shop"]

    queries: list[str] = []
    expressions = [target["expr"] for panel in panels(DASHBOARD) for target in panel.get("targets", ())]
    for expression in expressions:
        query = expression.replace("$client", ".*").replace("$__rate_interval", INTERVAL)
        if any(name in expression for name in UNSEEN):
            assert monitored.samples(query, since) == []
        else:
            queries.append(query)
    deadline = time.monotonic() + PATIENCE
    while queries := [query for query in queries if not shows(monitored, query, since)]:
        assert time.monotonic() < deadline, queries
        gevent.sleep(0.5)


def test_promtool_finds_no_fault(monitored: Monitored) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "it is not beside prometheus"
    visitor = Visitor(monitored.service.port)
    _, text = visitor.get("/metrics")
    visitor.leave()
    for arguments, read in ((["check", "metrics"], text), (["check", "config", str(SETTINGS)], b"")):
        done = subprocess.run([promtool, *arguments], input=read, capture_output=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stderr) == (0, b""), done.stdout
