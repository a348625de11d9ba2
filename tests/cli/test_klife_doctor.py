"""`klife doctor`: what it prints, and how it exits."""

from __future__ import annotations

from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import NewTopic, RunKlife


def test_a_cluster_that_is_well_costs_a_table_and_no_failure(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic
) -> None:
    topic = new_topic(partitions=2)

    done = run_klife("doctor", "--bootstrap", kafka_cluster.bootstrap_servers, "--topic", topic)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["TARGET", "CHECK", "RESULT", "DETAIL"]
    assert lines[-1].startswith("All is well: the 3 brokers")
    assert "FAILED" not in done.stdout
    assert "1 topic with 2 partitions" in done.stdout


def test_a_cluster_that_is_not_there_is_a_verdict_a_next_step_and_exit_code_one(run_klife: RunKlife) -> None:
    done = run_klife("doctor", "--bootstrap", "127.0.0.1:1")

    assert (done.returncode, done.stderr) == (1, "")
    *_, verdict, step = done.stdout.splitlines()
    assert verdict.startswith("The cluster can not be used from here: bootstrap 127.0.0.1:1: ")
    assert step.startswith("Next: ")
