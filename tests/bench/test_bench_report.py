"""What the benchmark makes of its samples."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench import machine, report, runner
from bench.meter import Meter
from bench.targets import Target
from bench.workload import Job, Mode, Workload


def sample(contestant: str, count: int) -> dict[str, Any]:
    return {
        "round": 0,
        "target": "mock",
        "contestant": contestant,
        "workload": asdict(Workload("sync", workers=16)),
        "count": count,
        "elapsed_s": 2.0,
        "cpu_s": 1.0,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "acked_records": 3 * count,
    }


def result(*samples: dict[str, Any]) -> dict[str, Any]:
    described = {"versions": {"some-client": "1.0"}, "settings": {"acks": "all"}, "driven": "By threads."}
    return {
        "taken_at": "2026-01-01T00:00:00Z",
        "machine": machine.facts(),
        "rounds": 3,
        "seconds": 4.0,
        "warmup_s": 2.0,
        "contestants": dict.fromkeys([entry["contestant"] for entry in samples], described),
        "samples": list(samples),
        "failures": [],
    }


def row(text: str, contestant: str) -> list[str]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    (found,) = [row for row in cells if row[1] == contestant]
    return found


class TestTables:
    def test_give_median_and_range_a_second(self) -> None:
        text = report.markdown(result(*(sample("klife", count) for count in (200, 2000, 400))))
        assert row(text, "klife")[2] == "200 (100-1,000)"

    def test_say_how_many_times_faster_klife_is(self) -> None:
        text = report.markdown(result(sample("klife", 600), sample("aiokafka", 200)))
        assert row(text, "aiokafka")[3] == "3.00"
        assert row(text, "klife")[3] == ""

    def test_give_cpu_time_for_each_iteration(self) -> None:
        assert row(report.markdown(result(sample("klife", 1000))), "klife")[-1] == "1,000"

    def test_show_a_contestant_that_failed_as_failed_and_say_why(self) -> None:
        measured = result(sample("klife", 100))
        measured["contestants"]["aiokafka"] = measured["contestants"]["klife"]
        measured["failures"] = ["round 1/1: mock, sync N=16, aiokafka: a record was not delivered\nits traceback"]
        text = report.markdown(measured)
        assert row(text, "aiokafka")[2:] == ["failed", "", "", "", ""]
        assert "aiokafka: a record was not delivered\n" in text
        assert "traceback" not in text


class TestReadme:
    def test_only_the_marked_section_is_replaced(self, tmp_path: Path) -> None:
        readme = tmp_path / "README.md"
        readme.write_text("before\n<!-- figures: begin -->\nold figures\n<!-- figures: end -->\nafter\n")
        for count in (100, 200):
            report.write_readme(result(sample("klife", count)), readme, "figures.svg")
        text = readme.read_text()
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old figures" not in text
        assert text.count("figures.svg") == 1
        assert row(text, "klife")[2] == "100"

    def test_a_file_without_the_section_is_left_alone(self, tmp_path: Path) -> None:
        readme = tmp_path / "README.md"
        readme.write_text("nothing here")
        with pytest.raises(ValueError, match="no section"):
            report.write_readme(result(sample("klife", 1)), readme, "figures.svg")
        assert readme.read_text() == "nothing here"

    def test_the_repositorys_has_it(self, tmp_path: Path) -> None:
        copy = tmp_path / "README.md"
        copy.write_text((Path(report.__file__).parent / "README.md").read_text())
        report.write_readme(result(sample("klife", 1)), copy, "figures.svg")


def job(mode: Mode) -> Job:
    return Job("klife", Workload(mode, workers=16), "mock", "127.0.0.1:9092", ["a", "b", "c"], warmup_s=1, seconds=2)


class TestMeter:
    def test_counts_only_what_falls_between_warm_up_and_end(self) -> None:
        meter = Meter(job("sync"))
        finished = iter([[0.5] * 10, [0.001] * 4])
        meter.take(lambda _seconds: meter.latencies.extend(next(finished)))
        meter.latencies += [0.7] * 2
        taken = meter.sample()
        assert (taken.count, taken.p50_ms, taken.p99_ms) == (4, 1.0, 1.0)
        assert taken.acked_records == 3 * 16
        assert not meter.running

    def test_both_warm_up_and_measurement_last_until_something_was_delivered(self) -> None:
        meter = Meter(job("async"))
        delivered = iter([0, 0, 7, 0, 0, 100])

        def work(_seconds: float) -> None:
            meter.acked += next(delivered)

        meter.take(work)
        assert meter.sample().count == 100

    def test_a_failed_record_leaves_no_figures(self) -> None:
        meter = Meter(job("async"))
        meter.take(lambda _seconds: meter.fail("broker: not enough replicas"))
        with pytest.raises(RuntimeError, match="not enough replicas"):
            meter.sample()


class FakeTarget(Target):
    """Logs that grow by a given number of records with each measurement."""

    def __init__(self, growth: int) -> None:
        self.name = "mock"
        self.bootstrap_servers = ""
        self.topics = []
        self._ends = iter([0, growth])

    def records_in_logs(self) -> int:
        return next(self._ends)


class TestHonesty:
    @pytest.mark.parametrize("growth", [299, 301])
    def test_a_contestant_that_miscounts_has_no_figures(self, growth: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runner, "_worker", lambda *_, **__: sample("klife", 100))
        plan = runner.Plan(["klife"], ["mock"], [Workload("sync", 16)], 1, seconds=1, warmup_s=0, broker_warmup_s=0)
        with pytest.raises(RuntimeError, match=f"300 records were acknowledged, and the logs grew by {growth}"):
            runner._measure(plan, FakeTarget(growth), Workload("sync", 16), "klife")

    def test_the_order_of_contestants_rotates(self) -> None:
        assert [runner._rotated("abc", round_) for round_ in range(3)] == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]


def test_workers_send_different_payloads_of_the_asked_size_to_every_topic() -> None:
    first, second = (next(job("sync").iterations(worker)) for worker in (0, 1))
    assert [payload.topic for payload in first] == ["a", "b", "c"]
    assert all((len(payload.key), len(payload.value)) == (50, 1000) for payload in first + second)
    assert all(0 <= payload.partition < 30 for payload in first + second)
    assert {payload.value for payload in first}.isdisjoint(payload.value for payload in second)
