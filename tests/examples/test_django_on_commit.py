"""examples/django_on_commit: what is committed is published, what is rolled back is not, and nothing is forgotten."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import gevent

from klife.testing.fake import FakeCluster
from tests.support.example import EXAMPLES, PATIENCE, environment, running, told
from tests.support.web_service import Visitor

NAME = "django_on_commit"
VISITORS, ORDERS = 8, 10


def manage(what: str, servers: str, environ: dict[str, str]) -> str:
    """What the README's command prints."""
    command = [sys.executable, *told(NAME, f"python manage.py {what}")]
    done = subprocess.run(
        command,
        cwd=EXAMPLES / NAME,
        env=environment(servers, **environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_committed_order_is_published_once_and_none_that_was_rolled_back(tmp_path: Path) -> None:
    environ = {"SHOP_DATABASE": str(tmp_path / "shop.sqlite3"), "SHOP_PATIENCE_MS": "1000"}
    command = [*told(NAME, "gunicorn"), "--bind", "127.0.0.1:0"]
    ordered: dict[bytes, bytes] = {}  # what, by key

    def visit(service_port: int, who: int) -> None:
        visitor = Visitor(service_port)
        for number in range(ORDERS):
            what = b"coffee %d of %d" % (number, who)
            status, answer = visitor.post("/orders", what)
            told = json.loads(answer)
            assert (status, told["published"]) == (201, True), answer
            ordered[b"%d" % told["id"]] = what
            assert visitor.post("/orders", b"cake")[0] == 409

    with FakeCluster(topics={"orders": 6}) as kafka:
        manage("migrate", kafka.bootstrap_servers, environ)
        with running(NAME, command, kafka.bootstrap_servers, tmp_path, environ) as service:
            gevent.joinall([gevent.spawn(visit, service.port, who) for who in range(VISITORS)], raise_error=True)
            assert {record.key: record.value for record in kafka.records("orders")} == ordered
            assert len(kafka.records("orders")) == VISITORS * ORDERS

            kafka.stop(1)
            status, answer = Visitor(service.port).post("/orders", b"tea")
            assert (status, json.loads(answer)["published"]) == (201, False)
            assert service.terminate() == 0, service.log
            assert "Error calling" in service.log  # in on_commit, as Django says it

        kafka.start(1)
        assert manage("publish_orders", kafka.bootstrap_servers, environ) == "1 orders published\n"
        ordered[b"%d" % json.loads(answer)["id"]] = b"tea"
        assert Counter((record.key, record.value) for record in kafka.records("orders")) == Counter(ordered.items())
    with closing(sqlite3.connect(environ["SHOP_DATABASE"])) as database:
        assert database.execute("select count(*) from shop_order where published").fetchall() == [(len(ordered),)]
