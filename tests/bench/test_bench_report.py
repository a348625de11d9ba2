"""What the benchmark makes of its samples."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from bench import contestants, goals, plot, process, publish, report, results, runner, scenarios
from bench.meter import Meter
from bench.pacing import Pacer
from bench.page import replace_figures
from bench.scenarios import SCENARIOS
from bench.targets import Target
from bench.workload import Job, Workload
from tests.support.bench_samples import SYNC, result, sample, workload

ROOT = Path(report.__file__).resolve().parents[1]
SVG = "{http://www.w3.org/2000/svg}"


def cells(text: str, figure: str, case: str) -> dict[str, str]:
    """The row of a case in the table of a figure, by the table's header."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    start = next(index for index, line in enumerate(lines) if line[0] == figure)
    row = next(line for line in lines[start + 1 :] if line[1] == case)
    return dict(zip(lines[start], row, strict=True))


class TestTables:
    def test_give_median_and_range_a_second(self) -> None:
        text = report.tables(result(*(sample("klife", count) for count in (200, 2000, 400))))
        assert cells(text, "iterations a second", "N=16")["klife"] == "200 (100-1,000)"

    def test_give_cpu_time_for_each_iteration(self) -> None:
        text = report.tables(result(sample("klife", 1000)))
        assert cells(text, "client CPU, µs per iteration", "N=16")["klife"] == "1,000.00"

    def test_give_p99_and_p50(self) -> None:
        text = report.tables(result(sample("klife", 1000)))
        assert cells(text, "latency in ms, p99 [p50]", "N=16")["klife"] == "2.00 [1.00]"

    def test_give_gaps_beside_the_machines_own(self) -> None:
        gaps = [
            sample("klife", 10, of=workload("gap", "callbacks"), gap_max_ms=longest, gap_p999_ms=3.0, control_gap_ms=1.5)
            for longest in (4.0, 2.0, 60.0)
        ]
        row = cells(report.tables(result(*gaps)), "woken late by ms, longest [p99.9; beside it, longest]", "callbacks")
        assert row["klife"] == "4.0 (2.0-60.0) [3.0; 1.5]"

    def test_say_how_klife_stands_to_the_best_peer(self) -> None:
        measured = result(sample("klife", 600), sample("aiokafka", 200), sample("confluent-kafka", 300), sample("klife-pure", 900))
        text = report.tables(measured)
        assert cells(text, "iterations a second", "N=16")["klife is × best peer"] == "2.00"
        assert cells(text, "client CPU, µs per iteration", "N=16")["klife is × best peer"] == "0.50"

    def test_show_a_contestant_that_failed_as_failed_and_say_why(self) -> None:
        failure = {**sample("aiokafka", 1), "error": "a record was not delivered\nits traceback"}
        measured = result(sample("klife", 100), failures=[failure])
        measured["contestants"]["aiokafka"] = measured["contestants"]["klife"]
        text = report.markdown(measured)
        assert cells(text, "iterations a second", "N=16")["aiokafka"] == "failed"
        assert "sync, N=16, aiokafka: a record was not delivered\n" in text
        assert "traceback" not in text

    def test_the_settings_say_which_build_of_klife_it_was(self) -> None:
        text = report.settings(result(sample("klife", 1), sample("klife-pure", 1), sample("aiokafka", 1)))
        assert ["Compiled core." in line for line in text.splitlines()] == [True, False, False]
        assert ["Pure Python." in line for line in text.splitlines()] == [False, True, False]


class TestCombined:
    def test_runs_stay_apart_and_are_all_listed(self) -> None:
        whole = results.combined([result(sample("klife", 1)), result(sample("klife", 2)), result(sample("aiokafka", 3))])
        assert [entry["run"] for entry in whole["samples"]] == [0, 1, 2]
        assert list(whole["contestants"]) == ["klife", "aiokafka"]
        assert report.conditions(whole).count("- Run ") == 3

    def test_can_be_combined_again(self) -> None:
        pair = results.combined([result(sample("klife", 1)), result(sample("klife", 2))])
        assert [entry["run"] for entry in results.combined([pair, pair])["samples"]] == [0, 1, 2, 3]

    def test_other_versions_or_another_machine_are_refused(self) -> None:
        one, other = result(sample("klife", 1)), result(sample("klife", 1))
        other["contestants"]["klife"]["versions"] = {"some-client": "2.0"}
        with pytest.raises(ValueError, match="klife had other versions"):
            results.combined([one, other])
        moved = result(sample("klife", 1))
        moved["runs"][0]["machine"] = {**moved["runs"][0]["machine"], "cores": 1000}
        with pytest.raises(ValueError, match="different machines: cores is"):
            results.combined([one, moved])

    def test_what_is_written_is_read_back(self, tmp_path: Path) -> None:
        measured = result(sample("klife", 1), sample("aiokafka", 2))
        results.write(measured, tmp_path / "result.json")
        assert json.loads((tmp_path / "result.json").read_text()) == measured


class TestPlot:
    def test_draws_a_bar_for_each_median_and_a_line_for_each_range(self, tmp_path: Path) -> None:
        (path,) = plot.write_svgs(result(*(sample("klife", count) for count in (10, 20, 40)), sample("aiokafka", 10)), tmp_path)
        assert path.name == "sync.svg"
        tree = ElementTree.parse(path)
        rectangles = [float(rectangle.attrib["height"]) for rectangle in tree.iter(f"{SVG}rect")]
        assert rectangles[:2] == [90.0, 45.0]  # of 180 for the greatest sample
        assert {"klife", "aiokafka", "N=16", "mock", "Waiting for each record"} <= self.texts(path)

    def texts(self, path: Path) -> set[str | None]:
        return {text.text for text in ElementTree.parse(path).iter(f"{SVG}text")}

    def test_says_the_unit_the_better_way_and_how_often_it_was_measured(self, tmp_path: Path) -> None:
        latency = workload("latency", "1,000 records/s")
        often = [sample("klife", 10), sample("klife", 20)]
        sync, late = plot.write_svgs(result(*often, sample("aiokafka", 10), sample("klife", 1, of=latency)), tmp_path)
        assert "iterations a second; higher is better. Bars: medians of 1 to 2 measurements; lines: their ranges." in self.texts(sync)
        assert "latency in ms, p99; lower is better. Bars: medians of 1 measurements; lines: their ranges." in self.texts(late)

    def test_has_no_ground_of_its_own(self, tmp_path: Path) -> None:
        (path,) = plot.write_svgs(result(sample("klife", 10)), tmp_path)
        tree = ElementTree.parse(path)
        assert len(list(tree.iter(f"{SVG}rect"))) == 2  # a bar, and the legend's


class TestPages:
    def test_only_the_marked_section_is_replaced(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text("before\n<!-- figures: begin -->\nold figures\n<!-- figures: end -->\nafter\n")
        for figures in ("first", "second"):
            replace_figures(page, figures)
        assert page.read_text() == "before\n<!-- figures: begin -->\n\nsecond\n\n<!-- figures: end -->\nafter\n"

    def test_has_several_sections_each_with_a_name(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text("<!-- one: begin -->\nold\n<!-- one: end -->\n<!-- two: begin -->\nold\n<!-- two: end -->\n")
        replace_figures(page, "new", "two")
        assert page.read_text() == "<!-- one: begin -->\nold\n<!-- one: end -->\n<!-- two: begin -->\n\nnew\n\n<!-- two: end -->\n"

    def test_a_file_without_the_section_is_left_alone(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text("nothing here")
        with pytest.raises(ValueError, match="no section"):
            replace_figures(page, "figures")
        assert page.read_text() == "nothing here"

    def test_the_repositorys_take_all_of_a_full_run(self, tmp_path: Path) -> None:
        pages = [tmp_path / name for name in ("benchmarks.md", "benchmark-tables.md")]
        for page in pages:
            page.write_text((ROOT / "docs" / page.name).read_text())
        cases = scenarios.cases(list(SCENARIOS), scenarios.TARGETS)
        gaps = {"gap_max_ms": 1.0, "gap_p999_ms": 1.0, "control_gap_ms": 1.0}
        full = result(*(sample(name, 10, of=case.workload, target=case.target, **gaps) for case in cases for name in case.contestants))
        publish.publish(full, tmp_path)
        assert all(f"| {bar.title} " in pages[0].read_text() for bar in goals.BARS)
        assert "8 processes, 50 waiting each " in pages[0].read_text()
        for name in SCENARIOS:
            assert f"(benchmarks/{name}.svg)" in pages[0].read_text()
            assert (tmp_path / "benchmarks" / f"{name}.svg").exists()
            assert f"## {SCENARIOS[name].title}\n" in pages[1].read_text()
        assert json.loads((tmp_path / "benchmarks" / "result.json").read_text()) == full


def job(of: Workload = SYNC) -> Job:
    return Job("klife", of, "mock", "127.0.0.1:9092", ["a", "b", "c"], [], warmup_s=1, seconds=2)


class TestMeter:
    def test_counts_only_what_falls_between_warm_up_and_end(self) -> None:
        meter = Meter(job())
        finished = iter([[0.5] * 3, [0.5] * 7, [0.001] * 4])
        meter.take(lambda _seconds: meter.latencies.extend(next(finished)))
        meter.latencies += [0.7] * 2
        taken = meter.sample()
        assert (taken.count, taken.p50_ms, taken.p99_ms) == (4, 1.0, 1.0)
        assert taken.acked_records == 3 * 16
        assert not meter.running

    def test_takes_gaps_of_the_same_time_only(self) -> None:
        meter = Meter(job(workload("gap", "callbacks")))
        seen = iter([[9.0], [8.0], [0.001] * 1999 + [0.004]])

        def work(_seconds: float) -> None:
            meter.acked += 1
            meter.gaps += next(seen)

        meter.take(work)
        meter.gaps.append(7.0)
        assert (meter.sample().gap_max_ms, meter.sample().gap_p999_ms) == (4.0, 1.0)

    def test_the_warm_up_begins_and_the_measurement_ends_with_something_delivered(self) -> None:
        meter = Meter(job(workload("async", "N=1")))
        delivered = iter([0, 0, 7, 0, 0, 100])

        def work(_seconds: float) -> None:
            meter.acked += next(delivered)

        meter.take(work)
        assert meter.sample().count == 100

    def test_a_failed_record_leaves_no_figures(self) -> None:
        meter = Meter(job(workload("async", "N=1")))
        meter.take(lambda _seconds: meter.fail("broker: not enough replicas"))
        with pytest.raises(RuntimeError, match="not enough replicas"):
            meter.sample()

    def test_a_record_of_which_no_callback_told_leaves_no_figures(self) -> None:
        meter = Meter(job(workload("async", "N=1")))

        def work(_seconds: float) -> None:
            meter.sent += 10
            meter.acked += 10

        meter.take(work)
        assert meter.sample().count == 10
        meter.sent += 1
        with pytest.raises(RuntimeError, match="31 records were handed over, and 30 reported"):
            meter.sample()


class FakeTarget(Target):
    """Logs that grow by a given number of records with each measurement."""

    def __init__(self, growth: int) -> None:
        self.name = "mock"
        self.bootstrap_servers = ""
        self.topics = self.idle_topics = []
        self._ends = iter([0, growth])

    def records_in_logs(self) -> int:
        return next(self._ends)


class TestHonesty:
    @pytest.mark.parametrize("growth", [299, 301])
    def test_a_contestant_that_miscounts_has_no_figures(self, growth: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "ask", lambda *_, **__: sample("klife", 100))
        plan = runner.Plan([], rounds=1, seconds=1, warmup_s=0, broker_warmup_s=0)
        with pytest.raises(RuntimeError, match=f"300 records were acknowledged, and the logs grew by {growth}"):
            runner._measure(plan, FakeTarget(growth), SYNC, "klife")

    def test_the_order_of_contestants_rotates(self) -> None:
        assert [runner._rotated("abc", by) for by in range(3)] == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]


class TestRun:
    def run(self, monkeypatch: pytest.MonkeyPatch, plan: runner.Plan) -> tuple[list[tuple[str, str, int]], dict[str, Any]]:
        """What is measured, in order, without any cluster, and the result."""
        taken = []

        def take(*what: Any) -> None:
            taken.append((what[2].target, what[3], what[4]))

        monkeypatch.setattr(runner, "_take", take)
        monkeypatch.setattr(runner, "describe", lambda *_: {})
        return taken, runner.run(plan, lambda _line: None, lambda _result: None)

    def test_one_cluster_has_all_its_rounds_before_the_next(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cases = [scenarios.Case(target, SYNC, ("klife", "aiokafka")) for target in ("mock", "cluster")]
        taken, measured = self.run(monkeypatch, runner.Plan(cases, rounds=2, seconds=1, warmup_s=0, broker_warmup_s=0))
        assert taken[:4] == [("mock", "klife", 0), ("mock", "aiokafka", 0), ("mock", "aiokafka", 1), ("mock", "klife", 1)]
        assert [target for target, _, _ in taken] == ["mock"] * 4 + ["cluster"] * 4
        assert measured["runs"][0]["rounds"] == 2

    def test_what_scatters_is_measured_several_times_in_a_round(self, monkeypatch: pytest.MonkeyPatch) -> None:
        case = scenarios.Case("mock", workload("latency", "1,000 records/s"), ("klife",))
        taken, _ = self.run(monkeypatch, runner.Plan([case], rounds=3, seconds=1, warmup_s=0, broker_warmup_s=0))
        assert [number for _, _, number in taken] == list(range(6))

    def test_nothing_begins_once_the_time_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = runner.Plan([scenarios.Case("mock", SYNC, ("klife",))], rounds=5, seconds=1, warmup_s=0, broker_warmup_s=0, most_s=-1)
        taken, measured = self.run(monkeypatch, plan)
        assert taken == []
        assert measured["samples"] == []


class TestWarmUp:
    def run(self, monkeypatch: pytest.MonkeyPatch, cases: list[scenarios.Case], rates: list[int], seconds: float = 60) -> list[str]:
        """Who loads the brokers before anything is measured, where a pass of transactions has each of these rates."""
        taken: list[str] = []
        passes = iter(rates)

        def measure(plan: runner.Plan, _target: Any, of: Workload, contestant: str) -> dict[str, Any]:
            taken.append(f"{contestant} {of.case}")
            return {"count": next(passes) * plan.seconds, "elapsed_s": plan.seconds}

        monkeypatch.setattr(runner, "_measure", measure)
        monkeypatch.setattr(runner, "_run_job", lambda _target, contestant, of, *_: taken.append(f"{contestant} {of.scenario}"))
        plan = runner.Plan(cases, rounds=1, seconds=1, warmup_s=0, broker_warmup_s=seconds)
        runner._warm_up(plan, FakeTarget(0), lambda _line: None)
        return taken

    def transactions(self, *contestants: str) -> list[scenarios.Case]:
        return [scenarios.Case("mock", workload("transactions", case), contestants) for case in ("N=1", "N=16", "N=4")]

    def test_brokers_that_are_to_commit_do_so_until_the_rate_has_stopped_rising(self, monkeypatch: pytest.MonkeyPatch) -> None:
        level = [200, 200, 204, 204]
        taken = self.run(monkeypatch, self.transactions("klife", "aiokafka"), [100, 100, *level, 400, 400, 400, 404, *level, *level])
        turns = ("klife", "aiokafka", "aiokafka", "klife")
        assert taken == [f"{name} N=16" for name in (*turns, *turns, *turns, *turns)[: len(taken)]]
        assert len(taken) == 14, "a rise after a pass without one counts; three without one, in a row, are enough"

    def test_it_ends_in_time_all_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert len(self.run(monkeypatch, self.transactions("klife"), [100, 200], seconds=-1)) == 1

    def test_other_load_warms_up_for_other_load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = scenarios.Case("mock", SYNC, ("klife",))
        assert set(self.run(monkeypatch, [plain], [])) == {"confluent-kafka async", "aiokafka sync"}
        assert self.run(monkeypatch, [plain, *self.transactions("klife")], [1] * 4)[-4:] == ["klife N=16"] * 4


class TestPayloads:
    def test_differ_by_worker_and_have_the_asked_size_and_go_to_every_topic(self) -> None:
        first, second = (next(job().iterations(worker)) for worker in (0, 1))
        assert [payload[0] for payload in first] == ["a", "b", "c"]
        assert all((len(payload[2]), len(payload[3])) == (50, 1000) for payload in first + second)
        assert all(0 <= payload[1] < 30 for payload in first + second)
        assert {payload[3] for payload in first}.isdisjoint(payload[3] for payload in second)

    def test_without_key_and_partition_have_what_the_client_calls_so(self) -> None:
        chunk = next(job(workload("deliveries", "no key")).chunks(0, unplaced=-1))
        assert len(chunk) == 1000
        assert {(payload[2], payload[1]) for payload in chunk} == {(None, -1)}

    def test_keys_repeat_or_do_not(self) -> None:
        chunks = {case: job(workload("deliveries", case)).chunks(0) for case in ("key", "fresh keys")}
        keys = {case: {payload[2] for _ in range(49) for payload in next(each)} for case, each in chunks.items()}
        assert len(keys["key"]) <= 10_000
        assert len(keys["fresh keys"]) == 49_000

    def test_of_a_batch_are_of_one_topic(self) -> None:
        batches = job(workload("batch", "key")).batches(0)
        assert [{payload[0] for payload in next(batches)} for _ in range(4)] == [{"a"}, {"b"}, {"c"}, {"a"}]


class TestPacer:
    def clocked(self, monkeypatch: pytest.MonkeyPatch, *readings: float) -> Pacer:
        monkeypatch.setattr("bench.pacing.perf_counter", iter(readings).__next__)
        return Pacer(10_000)

    def test_ten_thousand_a_second_are_ten_a_millisecond(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pacer = self.clocked(monkeypatch, 5.0, 5.0, 5.0004)
        assert (pacer.burst, pacer.pause()) == (10, 0.0)
        pacer.begin()
        assert pacer.pause() == pytest.approx(0.0006)

    def test_a_sender_that_was_held_up_is_late_with_all_that_was_due(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pacer = self.clocked(monkeypatch, 5.0, 5.0, 5.9, 5.9)
        pacer.pause()
        pacer.begin()
        assert [pacer.begin(), pacer.begin()] == pytest.approx([5.001, 5.002])

    def test_a_timer_that_is_a_little_late_is_not_the_clients_fault(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pacer = self.clocked(monkeypatch, 5.0, 5.0015)
        pacer.pause()
        assert pacer.begin() == 5.0015


class TestScenarios:
    def test_cases_have_names_of_their_own(self) -> None:
        for scenario in SCENARIOS.values():
            assert len({each.case for each in scenario.workloads}) == len(scenario.workloads)
            assert {each.scenario for each in scenario.workloads} == {scenario.name}

    def test_a_subset_has_only_what_is_asked(self) -> None:
        left = scenarios.restricted(list(goals.cases()), ["klife", "aiokafka"], ["cluster"])
        assert {case.target for case in left} == {"cluster"}
        assert {name for case in left for name in case.contestants} == {"klife", "aiokafka"}

    def test_the_pure_build_is_asked_for_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KLIFE_PURE", "1")
        environments: dict[str, Any] = {}

        def started(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
            environments[command[-1]] = env.get("KLIFE_PURE")
            raise process.subprocess.CalledProcessError(1, command, stderr="no")

        monkeypatch.setattr(process.subprocess, "run", started)
        for name in contestants.NAMES:
            with pytest.raises(RuntimeError):
                runner.describe(name, {})
        assert environments == {name: "1" if name == "klife-pure" else None for name in contestants.NAMES}
