"""`klife demo` on a real cluster."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from klife import ClientConfig
from klife.cli.demo import all_there
from klife.cli.demo_load import Place
from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import COMMAND, NewTopic, RunKlife, environment


def demo_topics(cluster: KafkaCluster) -> list[str]:
    with cluster.admin() as admin:
        return [name for name in admin.describe_topics() if name.startswith("klife-demo")]


def test_the_demo_shows_its_figures_and_finds_every_record(run_klife: RunKlife, kafka_cluster: KafkaCluster) -> None:
    done = run_klife("demo", "--seconds", "2", "--bootstrap", kafka_cluster.bootstrap_servers)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    figures = dict(re.findall(r"^  (records|rate|latency|records per request)  +(.+)$", done.stdout, re.MULTILINE))
    records = int(figures["records"].split()[0].replace(",", ""))
    assert records > 0
    assert re.fullmatch(r"[\d,]+ records/s", figures["rate"])
    latencies = [float(number) for number in re.findall(r"([\d.]+) ms", figures["latency"])]
    assert len(latencies) == 4
    assert latencies == sorted(latencies)
    assert float(figures["records per request"].split()[0]) > 2  # fifty greenlets share their requests
    for line in ("connections  (supervisor)  running", "broker 1  ready", "batcher 3.0  0 in flight"):
        assert line in done.stdout
    found = re.search(r"all ([\d,]+) records are there", done.stdout)
    assert found is not None
    assert int(found[1].replace(",", "")) >= records
    assert demo_topics(kafka_cluster) == []


def test_a_record_that_is_not_there_is_told_and_the_answer_is_no(
    kafka_cluster: KafkaCluster, new_topic: NewTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = new_topic()

    assert not all_there([0], {0: Place(topic, 0, 0)}, {}, ClientConfig.build(kafka_cluster.bootstrap_servers), [topic])

    output = capsys.readouterr()
    assert "NOT all of it is there" in output.err
    assert "1 were confirmed and are not in the log" in output.err
    assert "records are there" not in output.out


def test_ctrl_c_ends_the_demo_and_removes_its_topics(kafka_cluster: KafkaCluster) -> None:
    command = [*COMMAND, "demo", "--seconds", "60", "--bootstrap", kafka_cluster.bootstrap_servers]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(PYTHONUNBUFFERED="1")
    ) as process:
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("warming"):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 130
    assert "Traceback" not in errors
    assert demo_topics(kafka_cluster) == []
