"""examples/flask_threads under servers of threads and of processes, none of which has a gevent hub."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from klife.testing.fake import FakeCluster
from tests.support.example import running, told
from tests.support.waiting import wait_until
from tests.support.web_load import Load, assert_each_once

SERVERS = {
    "flask run": ("flask run", "--port", "0"),
    "gthread": ("gunicorn --workers 2 --threads", "--bind", "127.0.0.1:0"),
    "sync, preloaded": ("gunicorn --workers 4 --preload", "--bind", "127.0.0.1:0"),
}


@pytest.mark.parametrize(("command", "options"), [(command, options) for command, *options in SERVERS.values()], ids=SERVERS)
def test_sigterm_under_load_loses_nothing_that_was_answered(command: str, options: list[str], tmp_path: Path) -> None:
    arguments = [*told("flask_threads", command), *options]
    with (
        FakeCluster(topics={"orders": 6, "clicks": 6}) as kafka,
        running("flask_threads", arguments, kafka.bootstrap_servers, tmp_path) as service,
    ):
        orders, clicks = Load(service, "/orders", 100_000), Load(service, "/clicks", 100_000)
        wait_until(lambda: len(orders.answered) > 100 and len(clicks.answered) > 100, 60)
        assert service.terminate() == 0, service.log
        orders.wait()
        clicks.wait()

        assert 201 in orders.statuses <= {201, 503}, service.log  # refused where it came when the client had been stopped
        assert assert_each_once(kafka.records("orders"), orders) >= 100
        assert 202 in clicks.statuses <= {202, 503}, service.log
        found = Counter(record.value for record in kafka.records("clicks"))
        assert found.keys() >= {click for click, (status, _) in clicks.answered.items() if status == 202}
        assert max(found.values()) == 1
        assert "klife" not in service.log
