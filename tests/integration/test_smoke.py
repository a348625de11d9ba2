"""The smoke suite (`smoke.py`) in processes of its own: monkey-patched and not, from greenlets and from four
OS threads.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from gevent import get_hub

from klife.testing.cluster import KafkaCluster
from tests.support import SUPPORT

SMOKE = SUPPORT / "smoke.py"


@pytest.mark.parametrize("how", [["plain"], ["patched"], ["plain", "threads"], ["patched", "threads"]], ids=" ".join)
def test_the_smoke_suite_passes(kafka_cluster: KafkaCluster, how: list[str]) -> None:
    command = [sys.executable, str(SMOKE), kafka_cluster.bootstrap_servers, *how]
    run = get_hub().threadpool.apply(subprocess.run, (command,), {"capture_output": True, "text": True, "timeout": 90})
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "all checks hold"  # after what the log may say of a cluster that is busy
    assert "Traceback" not in run.stderr
