"""How busy the machine was, and several processes as one measurement."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest

from bench import load, processes, report
from bench.load import Reading
from bench.workload import Job
from tests.support.bench_samples import result, sample, workload

BURN = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass\nprint(flush=True); input()"


def started() -> subprocess.Popen[str]:
    """A process that has taken half a second of processor time, and waits."""
    process = subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


class TestLoad:
    @pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs /proc")
    def test_what_a_child_takes_is_ours_while_it_lives_and_afterwards(self) -> None:
        before = load.read()
        process = started()
        alive = load.read()
        process.communicate("\n")
        ended = load.read()
        assert before is not None
        assert alive is not None
        assert ended is not None
        assert alive.ours - before.ours > 0.4
        assert ended.ours - before.ours > 0.4

    def test_others_took_what_was_not_ours(self) -> None:
        assert load.others(Reading(10.0, 100.0, 50.0), Reading(12.0, 103.0, 51.0)) == 1.0
        # The kernel counts the machine's time in ticks.
        assert load.others(Reading(10.0, 100.0, 50.0), Reading(12.0, 101.0, 51.1)) == 0.0
        assert load.others(None, Reading(12.0, 101.0, 51.1)) is None

    def test_is_told_of_each_run(self) -> None:
        samples = [
            sample("klife", 1, load=one, others=other, run=run) for run, one, other in ((0, 1.0, 0.1), (0, 3.0, 0.5), (1, 9.0, 2.0))
        ]
        measured = result(*samples)
        measured["runs"] = [measured["runs"][0], measured["runs"][0]]
        text = report.conditions(measured)
        assert "during it, with the run's own: 2.0, at most 3.0; others took 0.30 cores, at most 0.50." in text
        assert "during it, with the run's own: 9.0, at most 9.0; others took 2.00 cores, at most 2.00." in text


def of(begin: float, *latencies_ms: float) -> dict[str, Any]:
    return sample("klife", len(latencies_ms), begin=begin, latencies_ms=list(latencies_ms))


class TestProcesses:
    def test_are_summed_from_the_first_beginning_to_the_last_end(self) -> None:
        whole = processes.together([of(10.0, 1.0, 2.0, 9.0), of(10.5, 3.0)])
        assert (whole["count"], whole["elapsed_s"], whole["together_s"]) == (4, 2.5, 1.5)
        assert (whole["cpu_s"], whole["sockets"], whole["acked_records"]) == (2.0, 8, 12)
        assert (whole["p50_ms"], whole["p99_ms"]) == (2.0, 3.0)

    def test_share_what_waits_and_meet_before_they_measure(self) -> None:
        shape = workload("workers", "8 processes, 50 waiting in all")
        asked: list[Job] = []

        def ask(job: Job) -> dict[str, Any]:
            asked.append(job)
            deadline = time.monotonic() + 20
            while len(asked) < 8 and time.monotonic() < deadline:
                time.sleep(0.01)  # all are asked at once
            return of(1.0, 1.0)

        assert processes.run(Job("klife", shape, "mock", "", ["a"], [], 1, 1), ask)["count"] == 8
        assert sorted(job.workload.workers for job in asked) == [6] * 6 + [7] * 2
        assert len({job.meeting for job in asked}) == 1
        assert all(job.meeting for job in asked)
