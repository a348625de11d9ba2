"""examples/celery_tasks: of each order there is a record or a task that is still to be done, never both or neither."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from klife.testing.fake import FakeCluster
from tests.support.example import EXAMPLES, PATIENCE, environment, running, told
from tests.support.waiting import wait_until

NAME = "celery_tasks"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's tasks."""
    folder = tmp_path_factory.mktemp("celery") / "tasks"
    command, environ = told(NAME, "python -c"), environment("localhost:1", SHOP_TASKS=str(folder))
    subprocess.run([sys.executable, *command], cwd=EXAMPLES / NAME, env=environ, check=True, timeout=PATIENCE)
    return folder


def left_in(tasks: Path) -> int:
    return len(list(tasks.glob("*.celery.msg")))


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_worker_that_is_terminated_at_work_has_shipped_each_order_or_left_its_task(pool: str, tasks: Path, tmp_path: Path) -> None:
    command, before = told(NAME, f"celery -A tasks worker --pool {pool}"), left_in(tasks)
    with (
        FakeCluster(topics={"shipments": 6, "statistics": 6}) as kafka,
        running(NAME, command, kafka.bootstrap_servers, tmp_path, {"SHOP_TASKS": str(tasks)}) as worker,
    ):
        wait_until(lambda: len(kafka.records("shipments")) > 100, PATIENCE)
        assert worker.terminate() == 0, worker.log
        shipped = Counter(record.key for record in kafka.records("shipments"))

        assert max(shipped.values()) == 1
        assert len(shipped) + left_in(tasks) == before, worker.log
        assert left_in(tasks) > 0, "there was nothing left to do"
        assert len(kafka.records("statistics")) == len(shipped)
        reports = re.findall(r"StopReport\(delivered=(\d+), failed=0, undelivered=0\)", worker.log)
        assert sum(map(int, reports)) == 2 * len(shipped), worker.log
        assert "Traceback" not in worker.log
