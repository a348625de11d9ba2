"""The goals: computed from samples, by the best peer and the worst case, and not met where something is
missing.
"""

from __future__ import annotations

from typing import Any

import pytest

from bench import bars
from bench.bars import BARS, Bar, Finding
from bench.scenarios import SCENARIOS
from tests.support.bench_samples import SYNC, result, sample, workload


def bar(title: str) -> Bar:
    (found,) = [each for each in BARS if each.title == title]
    return found


def found(title: str, *samples: dict[str, Any], build: str = "compiled") -> Finding:
    return bars.finding(bar(title), result(*samples), build)


CONFLUENT = "sync N = 16, mock: × confluent-kafka"
AIOKAFKA = "sync N = 16, mock: × aiokafka"
GAP = "longest hub gap while producing flat out, mock: ms"
EVERY_N = "sync, every N, real brokers: × best peer"
CPU = "sync, every N, real brokers: CPU per iteration, × aiokafka's"
PEERS = ("confluent-kafka", "confluent-gevent", "aiokafka", "kafka-python")


class TestRatio:
    def test_is_of_medians(self) -> None:
        samples = [sample("klife", count) for count in (100, 300, 90_000)] + [sample("aiokafka", count) for count in (1, 100, 120)]
        assert found(AIOKAFKA, *samples).figure == 3.0

    @pytest.mark.parametrize(("count", "met"), [(250, True), (249, False)])
    def test_meets_its_goal_or_does_not(self, count: int, met: bool) -> None:
        assert found(AIOKAFKA, sample("klife", count), sample("aiokafka", 100)).met is met

    def test_is_to_the_better_of_confluents_two(self) -> None:
        samples = [sample("klife", 600), sample("confluent-kafka", 100), sample("confluent-gevent", 200)]
        assert found(CONFLUENT, *samples).figure == 3.0

    def test_does_not_leave_out_a_peer_that_was_not_measured(self) -> None:
        assert found(CONFLUENT, sample("klife", 600), sample("confluent-kafka", 100)).figure is None

    def test_is_never_across_runs(self) -> None:
        samples = [sample("klife", 600), sample("aiokafka", 100, run=1)]
        assert found(AIOKAFKA, *samples).figure is None
        assert found(AIOKAFKA, *samples, sample("klife", 300, run=1)).figure == 3.0

    def test_is_not_there_where_klife_failed_in_any_round(self) -> None:
        good = sample("klife", 600)
        whole = result(good, sample("aiokafka", 100), failures=[{**good, "round": 1, "error": "the logs grew by one too few"}])
        assert bars.finding(bar(AIOKAFKA), whole, "compiled").figure is None

    def test_is_on_the_bars_cluster_only(self) -> None:
        assert found(AIOKAFKA, sample("klife", 600, target="cluster"), sample("aiokafka", 100, target="cluster")).figure is None


class TestWorstCase:
    def every_n(self, slow: str) -> list[dict[str, Any]]:
        return [
            sample(name, (120 if each.case == slow else 200) if name == "klife" else 100, of=each, target="cluster")
            for each in SCENARIOS["sync"].workloads
            for name in ("klife", *PEERS)
        ]

    def test_counts_and_is_named(self) -> None:
        slowest = found(EVERY_N, *self.every_n("N=4"))
        assert (slowest.figure, slowest.where, slowest.met) == (1.2, "N=4", True)

    def test_is_the_greatest_where_less_is_better(self) -> None:
        dearest = found(CPU, *self.every_n("N=32"))
        assert (dearest.figure, dearest.where, dearest.met) == (pytest.approx(100 / 120), "N=32", False)

    def test_cannot_be_told_of_some_cases(self) -> None:
        some = found(EVERY_N, *[each for each in self.every_n("N=4") if each["workload"]["workers"] < 64])
        assert (some.figure, some.missing, some.met) == (1.2, ("N=64",), False)


class TestBuilds:
    def test_have_their_own_goals(self) -> None:
        samples = [sample("klife", 220), sample("klife-pure", 220), sample("aiokafka", 100)]
        assert [found(AIOKAFKA, *samples, build=build).met for build in ("pure", "compiled")] == [True, False]

    def test_an_uncompiled_klife_says_nothing_of_the_compiled_one(self) -> None:
        measured = result(sample("klife", 900), sample("aiokafka", 100))
        measured["contestants"]["klife"]["compiled"] = False
        assert bars.finding(bar(AIOKAFKA), measured, "compiled").figure is None


def gap(case: str, longest: float) -> dict[str, Any]:
    return sample("klife", 100, of=workload("gap", case), gap_max_ms=longest, gap_p999_ms=1.0, control_gap_ms=0.5)


def test_a_gap_is_compared_as_it_is() -> None:
    measured = found(GAP, *(gap("deliveries", longest) for longest in (3.0, 4.0, 90.0)), gap("callbacks", 2.0))
    assert (measured.figure, measured.where, measured.met) == (4.0, "deliveries", True)


class TestTable:
    def test_says_of_each_bar_whether_it_is_met(self) -> None:
        text = bars.table(result(sample("klife", 240), sample("klife-pure", 240), sample("aiokafka", 100)))
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {AIOKAFKA} ")]
        assert [cell.strip() for cell in row.split("|")[2:-1]] == ["≥ 2", "2.40", "yes", "≥ 2.5", "2.40", "**no**"]

    def test_has_a_row_for_each_even_if_nothing_was_measured(self) -> None:
        text = bars.table(result())
        assert text.count("not measured") == 2 * len(BARS)


class TestCases:
    def test_are_all_that_the_bars_look_at(self) -> None:
        samples = [
            sample(name, 100, of=case.workload, target=case.target, gap_max_ms=1.0, gap_p999_ms=1.0, control_gap_ms=1.0)
            for case in bars.cases()
            for name in case.contestants
        ]
        findings = [bars.finding(each, result(*samples), build) for each in BARS for build in bars.BUILDS]
        assert [finding for finding in findings if finding.figure is None or finding.missing] == []

    def test_are_measured_once_each(self) -> None:
        listed = [(case.target, case.workload) for case in bars.cases()]
        assert len(listed) == len(set(listed))
        assert ("mock", SYNC) in listed
