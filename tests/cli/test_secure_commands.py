"""The commands at a cluster with TLS and SASL, by the file that `klife cluster up` writes for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from klife.cli.cluster_listeners import client_properties
from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import RunKlife


@pytest.fixture(scope="module")
def properties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with KafkaCluster(1, listeners=["SASL_SSL"], backend="jars") as cluster:
        cluster.create_topic("orders", partitions=2, replication_factor=1)
        path = tmp_path_factory.mktemp("client") / "client.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in client_properties(cluster, "SASL_SSL").items()))
        yield path


def test_produce_topics_doctor_and_demo_speak_tls_and_log_in(run_klife: RunKlife, properties: Path) -> None:
    done = run_klife("produce", "orders", "--config", str(properties), text="a\nb\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 delivered, 0 failed")
    done = run_klife("topics", "--config", str(properties))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith("orders")] == [
        ["orders", "0", "1"],
        ["orders", "1", "1"],
    ]
    done = run_klife("doctor", "--config", str(properties))
    assert (done.returncode, done.stderr) == (0, "")
    assert "SCRAM-SHA-512 as 'klife'" in done.stdout
    done = run_klife("demo", "--config", str(properties), "--seconds", "0.5", "--greenlets", "5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "records are there" in done.stdout
