"""`klife produce`: lines become records, and every line that does not is told."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from klife.cli.lines import LONGEST_LINE_BYTES
from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import COMMAND, NewTopic, RunKlife, environment
from tests.support.reader import read_topic, written


def test_each_line_of_standard_input_becomes_a_record_in_order(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic
) -> None:
    topic = new_topic()

    done = run_klife("produce", topic, "--bootstrap", kafka_cluster.bootstrap_servers, text="first\n\n tail \r\nno newline")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4 delivered, 0 failed in ")
    messages = read_topic(kafka_cluster.bootstrap_servers, topic, 4)
    assert [message.value for message in messages] == [b"first", b"", b" tail \r", b"no newline"]
    assert {message.key for message in messages} == {None}


def test_a_file_with_a_key_separator_becomes_keys_and_values(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic, tmp_path: Path
) -> None:
    topic = new_topic(partitions=3)
    lines = [f"customer-{number % 7}=>order {number} => {number}" for number in range(5_000)]
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(lines) + "\n")

    done = run_klife("produce", topic, "--file", str(file), "--key-separator", "=>", "--bootstrap", kafka_cluster.bootstrap_servers)

    assert done.returncode == 0, done.stderr
    messages = read_topic(kafka_cluster.bootstrap_servers, topic, 5_000)
    found = [message.key + b"=>" + message.value for message in messages]
    assert sorted(found) == sorted(line.encode() for line in lines)
    of_one_customer = [message.value for message in messages if message.key == b"customer-3"]
    assert of_one_customer == [f"order {number} => {number}".encode() for number in range(3, 5_000, 7)]


def test_a_line_without_the_separator_fails_alone(run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic) -> None:
    topic = new_topic()

    done = run_klife(
        "produce", topic, "--key-separator", ":", "--bootstrap", kafka_cluster.bootstrap_servers, text="a:1\nnothing\nb:2:3\n"
    )

    assert done.returncode == 1
    assert done.stdout.startswith("2 delivered, 1 failed in ")
    assert done.stderr == "line 2: the key separator ':' is not in it, so it was not sent\n"
    messages = read_topic(kafka_cluster.bootstrap_servers, topic, 2)
    assert [(message.key, message.value) for message in messages] == [(b"a", b"1"), (b"b", b"2:3")]


def test_a_line_the_topic_does_not_take_fails_alone_and_only_the_first_errors_are_shown(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic
) -> None:
    topic = new_topic(**{"max.message.bytes": 2_000})
    lines = ["x" * 5_000 if number % 2 else "short" for number in range(16)]

    done = run_klife("produce", topic, "--bootstrap", kafka_cluster.bootstrap_servers, text="\n".join(lines))

    assert done.returncode == 1
    assert done.stdout.startswith("8 delivered, 8 failed in ")
    errors = done.stderr.splitlines()
    assert [error.split(":")[0] for error in errors[:-1]] == ["line 2", "line 4", "line 6", "line 8", "line 10"]
    assert "2000" in errors[0]
    assert errors[-1] == "... and 3 more lines failed"
    assert len(read_topic(kafka_cluster.bootstrap_servers, topic, 8)) == 8


def test_where_the_input_cannot_be_read_on_what_was_sent_is_told(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic
) -> None:
    topic = new_topic()

    done = run_klife(
        "produce", topic, "--bootstrap", kafka_cluster.bootstrap_servers, text="a\nb\n" + "x" * (LONGEST_LINE_BYTES + 70_000)
    )

    assert done.returncode == 1
    assert done.stdout.startswith("2 delivered, 0 failed in ")
    assert done.stderr.startswith(f"klife: line 3 cannot be read: a line is longer than {LONGEST_LINE_BYTES} bytes")
    assert done.stderr.endswith("neither it nor what comes after it was sent\n")
    assert [message.value for message in read_topic(kafka_cluster.bootstrap_servers, topic, 2)] == [b"a", b"b"]


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_batches_are_compressed_as_asked(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic, compression: str
) -> None:
    # The topic takes batches of 1000 bytes: 200 lines fit into one only when they are compressed.
    topic = new_topic(**{"max.message.bytes": 1_000})
    lines = ["the same line again and again"] * 200

    done = run_klife(
        "produce", topic, "--compression", compression, "--bootstrap", kafka_cluster.bootstrap_servers, text="\n".join(lines)
    )

    assert done.returncode == 0, done.stderr
    messages = read_topic(kafka_cluster.bootstrap_servers, topic, 200)
    assert [message.value.decode() for message in messages] == lines


@pytest.mark.parametrize("acks", ["1", "0"])
def test_a_partition_and_weaker_acks_can_be_chosen(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic, acks: str
) -> None:
    topic = new_topic(partitions=4)

    done = run_klife(
        "produce", topic, "--partition", "2", "--acks", acks, "--bootstrap", kafka_cluster.bootstrap_servers, text="a\nb\n"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 sent, 0 failed in " if acks == "0" else "2 delivered, 0 failed in ")
    messages = read_topic(kafka_cluster.bootstrap_servers, topic, 2)
    assert [(message.partition, message.value) for message in messages] == [(2, b"a"), (2, b"b")]


def test_a_line_is_sent_while_the_input_stays_open_and_ctrl_c_reports(kafka_cluster: KafkaCluster, new_topic: NewTopic) -> None:
    topic = new_topic()
    command = [*COMMAND, "produce", topic, "--bootstrap", kafka_cluster.bootstrap_servers]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment()) as process:
        try:
            assert process.stdin is not None
            process.stdin.write("typed\nhalf of a")
            process.stdin.flush()
            messages = read_topic(kafka_cluster.bootstrap_servers, topic, 1)
            process.send_signal(signal.SIGINT)
            exit_code = process.wait(timeout=30)
            assert process.stdout is not None
            assert process.stderr is not None
            output, errors = process.stdout.read(), process.stderr.read()
        finally:
            process.kill()

    assert [message.value for message in messages] == [b"typed"]
    assert output.startswith("1 delivered, 0 failed in ")
    assert "Traceback" not in errors
    assert exit_code == 130


def test_ctrl_c_amid_endless_input_delivers_what_was_taken_and_loses_count_of_nothing(
    kafka_cluster: KafkaCluster, new_topic: NewTopic
) -> None:
    topic = new_topic(partitions=3)
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(["yes", "a line of an input that has no end"], stdout=pipe) as endless,
        subprocess.Popen(
            [*COMMAND, "produce", topic, "--bootstrap", kafka_cluster.bootstrap_servers],
            stdin=endless.stdout,
            stdout=pipe,
            stderr=pipe,
            text=True,
            env=environment(),
        ) as process,
    ):
        try:
            while not written(kafka_cluster.bootstrap_servers, topic):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            endless.kill()
            process.kill()

    assert process.returncode == 130
    assert errors == "sending what was read; Ctrl-C again gives up\n"
    delivered, failed = (int(number) for number in re.findall(r"\d+", output)[:2])
    assert failed == 0
    assert written(kafka_cluster.bootstrap_servers, topic) == delivered


def test_a_terminal_sees_a_progress_bar_and_a_pipe_does_not(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic
) -> None:
    topic = new_topic()
    arguments = ["produce", topic, "--bootstrap", kafka_cluster.bootstrap_servers]

    piped = run_klife(*arguments, text="a\n")
    ours, theirs = pty.openpty()
    try:
        watched = subprocess.run(
            [*COMMAND, *arguments], input=b"a\n", stdout=subprocess.DEVNULL, stderr=theirs, timeout=60, env=environment(TERM="xterm")
        )
        seen = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert piped.stderr == ""
    assert watched.returncode == 0
    assert "1 of 1 line delivered" in seen
