"""examples/plain_script: each line is a record, and the exit status is right."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from klife.testing.fake import FakeCluster
from tests.support.example import EXAMPLES, PATIENCE, environment, running, told
from tests.support.waiting import wait_until

SCRIPT = told("plain_script", "python import_orders.py")


def ran(kafka: FakeCluster, lines: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *SCRIPT],
        cwd=EXAMPLES / "plain_script",
        env=environment(kafka.bootstrap_servers),
        input=lines,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def found(kafka: FakeCluster) -> Counter[bytes | None]:
    return Counter(record.value for record in kafka.records("orders"))


def test_each_line_is_a_record_and_those_that_failed_are_named() -> None:
    lines = [b"order %d" % number for number in range(20_000)]
    with FakeCluster(topics={"orders": 6}) as kafka:
        done = ran(kafka, b"\n".join(lines))
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == b"of 20000 lines 20000 delivered, 0 failed, 0 not settled\n"
        assert found(kafka) == Counter(lines)

    with FakeCluster(topics={"orders": 1}) as kafka:
        kafka.fail_next("TOPIC_AUTHORIZATION_FAILED", topic="orders")
        done = ran(kafka, b"\n".join(lines))
        assert done.returncode == 1
        failed = {line.partition(b" is not in Kafka: ")[0] for line in done.stderr.splitlines()}
        assert found(kafka) == Counter(lines) - Counter(failed)
        assert done.stdout == b"of 20000 lines %d delivered, %d failed, 0 not settled\n" % (20_000 - len(failed), len(failed))
        assert failed


def test_sigterm_delivers_what_was_read(tmp_path: Path) -> None:
    with (
        FakeCluster(topics={"orders": 6}) as kafka,
        running("plain_script", SCRIPT, kafka.bootstrap_servers, tmp_path, stdin=subprocess.PIPE) as script,
    ):
        stdin = script.process.stdin
        assert stdin is not None
        stdin.write(b"".join(b"order %d\n" % number for number in range(1000)))
        stdin.flush()  # and more may come
        wait_until(lambda: sum(found(kafka).values()) > 100, PATIENCE)
        script.process.terminate()
        # Python may hear of a signal that comes right before it reads when it has read.
        stdin.write(b"one more\n")
        stdin.flush()
        assert script.wait() == 143
        report = re.fullmatch(r"of (\d+) lines (\d+) delivered, 0 failed, 0 not settled\n", script.log)
        assert report is not None, script.log
        lines, delivered = map(int, report.groups())
        assert delivered in (lines, lines + 1)  # the signal may come between a record and its count
        sent = [*(b"order %d" % number for number in range(1000)), b"one more"]
        assert found(kafka) == Counter(sent[:delivered])
