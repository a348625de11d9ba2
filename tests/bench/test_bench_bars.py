"""The goals: computed from samples, by the best peer and the worst case, and not met where something is
missing; and the groups in which they are measured.
"""

from __future__ import annotations

from typing import Any

import pytest

from bench import __main__ as command
from bench import bars, goals
from bench.bars import Bar, Finding
from bench.goals import BARS, GROUPS
from bench.scenarios import SCENARIOS, minutes
from tests.support.bench_samples import SYNC, result, sample, workload


def bar(title: str) -> Bar:
    (found,) = [each for each in BARS if each.title == title]
    return found


def found(title: str, *samples: dict[str, Any]) -> Finding:
    return bars.finding(bar(title), result(*samples))


def figure(title: str, *samples: dict[str, Any]) -> float | None:
    of = found(title, *samples).figure
    return of.value if of else None


CONFLUENT = "sync N = 16, mock: × the better confluent-kafka"
AIOKAFKA = "sync N = 16, mock: × aiokafka"
HELD = "pure: longest hub gap with 10 000 held deliveries, mock: ms"
EVERY_N = "sync, every N, real brokers: × best peer"
CPU = "1000 B with callbacks, real brokers: CPU, × confluent-kafka"
MANY = "1 000 active partitions, mock: CPU, × that of 30"
PURE = "pure: CPU in every scenario, × compiled"
METRICS = "with Prometheus, small records, mock: CPU, × without"
PEERS = ("confluent-kafka", "confluent-gevent", "confluent-defaults", "aiokafka")


class TestRatio:
    def test_is_of_medians(self) -> None:
        samples = [sample("klife", count) for count in (100, 300, 90_000)] + [sample("aiokafka", count) for count in (1, 100, 120)]
        assert figure(AIOKAFKA, *samples) == 3.0

    @pytest.mark.parametrize(("count", "met"), [(550, True), (549, False)])
    def test_meets_its_goal_or_does_not(self, count: int, met: bool) -> None:
        assert found(AIOKAFKA, sample("klife", count), sample("aiokafka", 100)).met is met

    def test_is_to_the_best_of_confluents_three(self) -> None:
        counts = {"klife": 600, "confluent-kafka": 100, "confluent-gevent": 200, "confluent-defaults": 300}
        of = found(CONFLUENT, *(sample(name, count) for name, count in counts.items())).figure
        assert of is not None
        assert (of.value, of.peer) == (2.0, "confluent-defaults")

    def test_does_not_leave_out_a_peer_that_was_not_measured(self) -> None:
        assert figure(CONFLUENT, sample("klife", 600), sample("confluent-kafka", 100), sample("confluent-gevent", 100)) is None

    def test_is_never_across_runs(self) -> None:
        samples = [sample("klife", 600), sample("aiokafka", 100, run=1)]
        assert figure(AIOKAFKA, *samples) is None
        assert figure(AIOKAFKA, *samples, sample("klife", 300, run=1)) == 3.0

    def test_is_not_there_where_klife_failed_in_any_round(self) -> None:
        good = sample("klife", 600)
        whole = result(good, sample("aiokafka", 100), failures=[{**good, "round": 1, "error": "the logs grew by one too few"}])
        assert bars.finding(bar(AIOKAFKA), whole).figure is None

    def test_is_on_the_bars_cluster_only(self) -> None:
        assert figure(AIOKAFKA, sample("klife", 600, target="cluster"), sample("aiokafka", 100, target="cluster")) is None

    def test_has_the_range_of_the_ratios_of_each_round(self) -> None:
        mine = [sample("klife", count, round=number) for number, count in enumerate((100, 300, 800))]
        theirs = [sample("aiokafka", count, round=number) for number, count in enumerate((100, 100, 400))]
        of = found(AIOKAFKA, *mine, *theirs).figure
        assert of is not None
        assert (of.value, of.low, of.high) == (3.0, 1.0, 3.0)


class TestWorstCase:
    def every_n(self, slow: str) -> list[dict[str, Any]]:
        return [
            sample(name, (130 if each.case == slow else 200) if name == "klife" else 100, of=each, target="cluster")
            for each in SCENARIOS["sync"].workloads
            for name in ("klife", *PEERS)
        ]

    def test_counts_and_is_named(self) -> None:
        slowest = found(EVERY_N, *self.every_n("N=4"))
        assert slowest.figure is not None
        assert (slowest.figure.value, slowest.where, slowest.met) == (1.3, "N=4", True)

    def test_is_the_greatest_where_less_is_better(self) -> None:
        counts = {"N=1": 400, "N=4": 125}
        samples = [
            sample(name, counts[each.case] if name == "klife" else 100, of=each, target="cluster")
            for each in SCENARIOS["async"].workloads
            for name in ("klife", *PEERS)
        ]
        dearest = found(CPU, *samples)
        assert dearest.figure is not None
        assert (dearest.figure.value, dearest.where, dearest.met) == (pytest.approx(0.8), "N=4", False)

    def test_cannot_be_told_of_some_cases(self) -> None:
        some = found(EVERY_N, *[each for each in self.every_n("N=4") if each["workload"]["workers"] < 64])
        assert some.figure is not None
        assert (some.figure.value, some.missing, some.met) == (1.3, ("N=64",), False)


class TestLinger:
    """At a given rate records that wait for company are cheaper."""

    AT_ONCE = "1 000 records/s, mock: CPU, × best peer that does not linger either"
    WAITING = "1 000 records/s, mock: CPU, both with a linger of 5 ms, × confluent-kafka's defaults"
    STRICTEST = "1 000 records/s, mock: CPU, × best peer, though that lingers and klife does not"

    def test_is_compared_with_linger_and_none_with_none(self) -> None:
        counts = {"klife": 100, "klife-linger": 200} | dict.fromkeys(PEERS, 120) | {"confluent-defaults": 150}
        samples = [sample(name, count, of=workload("latency", "1,000 records/s")) for name, count in counts.items()]
        measured = result(*samples)
        measured["contestants"]["klife-linger"]["compiled"] = True
        figures = [bars.finding(bar(title), measured).figure for title in (self.AT_ONCE, self.WAITING, self.STRICTEST)]
        assert [each and each.value for each in figures] == [pytest.approx(1.2), 0.75, 1.5]


class TestOwn:
    def test_an_uncompiled_klife_says_nothing_of_the_compiled_one(self) -> None:
        measured = result(sample("klife", 900), sample("aiokafka", 100))
        measured["contestants"]["klife"]["compiled"] = False
        assert bars.finding(bar(AIOKAFKA), measured).figure is None

    def test_the_cost_of_many_partitions_is_compared_with_that_of_few(self) -> None:
        few, many = (workload("partitions", f"{number} partitions") for number in ("30", "1,000"))
        assert figure(MANY, sample("klife", 300, of=few), sample("klife", 100, of=many)) == 3.0
        assert figure(MANY, sample("klife", 100, of=many)) is None

    def test_the_pure_build_is_compared_with_the_compiled_one_wherever_both_were_measured(self) -> None:
        keyed = workload("deliveries", "key")
        samples = [sample("klife", 300), sample("klife-pure", 100), sample("klife", 500, of=keyed), sample("klife-pure", 100, of=keyed)]
        dearest = found(PURE, *samples)
        assert dearest.figure is not None
        assert (dearest.figure.value, dearest.where, dearest.met) == (5.0, "deliveries, key, mock", False)
        assert len(dearest.missing) == len(bar(PURE).places) - 2

    def test_metrics_are_compared_with_klife_without(self) -> None:
        flow = workload("prometheus", "no key")
        measured = result(sample("klife", 102, of=flow), sample("klife-prometheus", 100, of=flow))
        measured["contestants"]["klife-prometheus"]["compiled"] = True
        (of,) = [bars.finding(bar(METRICS), measured)]
        assert of.figure is not None
        assert (of.figure.value, of.met) == (pytest.approx(1.02), True)


def test_a_gap_is_compared_as_it_is() -> None:
    flow = workload("gap", "deliveries, 10,000 held")
    gaps = [sample("klife-pure", 1, of=flow, gap_max_ms=longest, gap_p999_ms=1.0, control_gap_ms=0.5) for longest in (3.0, 4.0, 90.0)]
    measured = found(HELD, *gaps)
    assert measured.figure is not None
    assert (measured.figure.value, measured.figure.low, measured.figure.high, measured.met) == (4.0, 3.0, 90.0, True)


class TestTable:
    def row(self, *samples: dict[str, Any], title: str = AIOKAFKA) -> list[str]:
        text = bars.table(result(*samples), BARS)
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {title} ")]
        return [cell.strip() for cell in row.split("|")[2:-1]]

    def test_says_of_each_bar_whether_it_is_met(self) -> None:
        assert self.row(sample("klife", 240), sample("aiokafka", 100)) == ["≥ 5.5", "2.40", "2.40-2.40", "**no**"]

    def test_names_the_best_of_several_peers(self) -> None:
        samples = [sample(name, 100) for name in PEERS]
        assert self.row(sample("klife", 700), *samples, title=CONFLUENT)[1] == "7.00 (confluent-kafka)"

    def test_has_a_row_for_each_even_if_nothing_was_measured(self) -> None:
        assert bars.table(result(), BARS).count("not measured") == len(BARS)


class TestCases:
    def of(self, *groups: str) -> list[dict[str, Any]]:
        return [
            sample(name, 100, of=case.workload, target=case.target, gap_max_ms=1.0, gap_p999_ms=1.0, control_gap_ms=1.0)
            for case in goals.cases(groups)
            for name in case.contestants
        ]

    def findings(self, *groups: str) -> list[Finding]:
        measured = result(*self.of(*groups))
        for name in ("klife-threads", "klife-prometheus", "klife-linger"):
            measured["contestants"].setdefault(name, {})["compiled"] = True
        return [bars.finding(each, measured) for each in goals.bars_of(groups)]

    def test_are_all_that_the_bars_look_at(self) -> None:
        assert [finding for finding in self.findings() if finding.figure is None or finding.missing] == []
        assert len(self.findings()) == len(BARS)

    @pytest.mark.parametrize("group", GROUPS)
    def test_of_a_group_are_all_that_its_own_bars_look_at(self, group: str) -> None:
        assert [finding for finding in self.findings(group) if finding.figure is None or finding.missing] == []
        assert self.of(group)

    def test_are_measured_once_each(self) -> None:
        listed = [(case.target, case.workload) for case in goals.cases()]
        assert len(listed) == len(set(listed))
        assert ("mock", SYNC) in listed

    def test_latency_is_measured_six_times_in_the_three_rounds_of_a_run(self) -> None:
        assert command._ROUNDS * SCENARIOS["latency"].repeats == 6


class TestTime:
    def asked(self, *arguments: str) -> Any:
        return command._plan(command._parse(["--bars", "sync-mock", *arguments]))

    def test_there_are_as_many_rounds_as_the_minutes_are_enough_for(self) -> None:
        cases = list(goals.cases(["sync-mock"]))
        enough = minutes(cases, 4, 2)
        assert self.asked("--minutes", f"{enough + 0.01}", "--rounds", "9").rounds == 4
        assert self.asked("--minutes", "60").rounds == command._ROUNDS
        assert self.asked("--minutes", "0.01").rounds == 1
        assert self.asked("--minutes", "0.5").most_s == 30
        assert self.asked().most_s is None

    def test_the_help_says_how_long_each_group_takes(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            command._parse(["--help"])
        shown = capsys.readouterr().out
        for name in GROUPS:
            assert f"\n  {name} " in shown
