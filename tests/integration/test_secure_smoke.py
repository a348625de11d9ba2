"""The smoke suite (`smoke.py`) over TLS and SASL."""

from __future__ import annotations

import subprocess
import sys

from gevent import get_hub

from klife.testing.cluster import KafkaCluster
from tests.support import SUPPORT
from tests.support.secure import client_options, with_options

SMOKE = SUPPORT / "smoke.py"


def test_the_smoke_suite_passes_over_tls_and_sasl(secure_cluster: KafkaCluster) -> None:
    command = [sys.executable, str(SMOKE), secure_cluster.bootstrap_servers, "patched"]
    environment = with_options(secure_cluster, client_options(secure_cluster, "SASL_SSL"))
    ended = get_hub().threadpool.apply(
        lambda: subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == "all checks hold"
