"""The goals klife set itself, and whether a result meets them. Each is computed from the samples of one run,
by medians.

Against several peers the best of them counts; over several cases the worst of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.figures import cpu_us, gap_over_control_ms, longest_gap_ms, rate, sockets
from bench.page import aligned
from bench.results import Result, failed, median_of, ratio, samples_of
from bench.scenarios import SCENARIOS, Case
from bench.workload import TargetName, Workload

BUILDS = {"pure": "klife-pure", "compiled": "klife"}

_CONFLUENT = ("confluent-kafka", "confluent-gevent")
_PEERS = (*_CONFLUENT, "aiokafka", "kafka-python")
_TRANSACTIONAL = ("confluent-kafka", "aiokafka")
# Version 2 of transactions, and version 1.
_TRANSACTION_RATES: tuple[tuple[TargetName, str, dict[int, float]], ...] = (
    ("cluster", "real brokers", {1: 3, 4: 1.6, 16: 1.1}),
    ("cluster-3.9", "Kafka 3.9", {1: 3, 4: 1.6, 16: 1.3}),
)


@dataclass(frozen=True)
class Bar:
    """`goals` are of the pure and of the compiled build. Without `peers` the value itself is the figure, else
    the ratio to theirs.
    """

    title: str
    target: TargetName
    workloads: tuple[Workload, ...]
    value: Callable[[Result], float]
    goals: tuple[float, float]
    peers: tuple[str, ...] = ()
    more_is_better: bool = True

    def figure(self, result: Result, build: str, workload: Workload) -> float | None:
        """What is compared with the goal; None where it, or one of the peers, was not measured, or klife
        failed in any round.
        """
        contestant, place = BUILDS[build], (self.target, workload)
        if failed(result, place, contestant):
            return None
        if bool(result["contestants"].get(contestant, {}).get("compiled")) != (build == "compiled"):
            return None
        if not self.peers:
            samples = samples_of(result, place, contestant)
            return median_of(samples, self.value) if samples else None
        ratios = [ratio(result, place, self.value, contestant, peer) for peer in self.peers]
        measured = [each for each in ratios if each is not None]
        if len(measured) < len(ratios):
            return None  # the best peer may be the one that is missing
        return min(measured) if self.more_is_better else max(measured)


@dataclass(frozen=True)
class Finding:
    """A bar's figure for one build, the worst of its cases. `missing` are the cases not measured."""

    goal: str
    figure: float | None
    where: str
    missing: tuple[str, ...]
    met: bool


def _workloads(scenario: str, *cases: str) -> tuple[Workload, ...]:
    """The scenario's workloads of these cases, or all."""
    return tuple(workload for workload in SCENARIOS[scenario].workloads if not cases or workload.case in cases)


BARS = (
    Bar("sync N = 16, mock: × confluent-kafka", "mock", _workloads("sync", "N=16"), rate, (4, 5), _CONFLUENT),
    Bar("sync N = 16, mock: × aiokafka", "mock", _workloads("sync", "N=16"), rate, (2, 2.5), ("aiokafka",)),
    Bar("sync N = 1, mock: × best peer", "mock", _workloads("sync", "N=1"), rate, (1.5, 1.5), _PEERS),
    Bar(
        "async, a delivery each, 100 B, no key, mock: × confluent-kafka",
        "mock",
        _workloads("deliveries", "no key"),
        rate,
        (1.3, 2.5),
        _CONFLUENT,
    ),
    Bar(
        "async, a delivery each, 100 B, key, mock: × confluent-kafka",
        "mock",
        _workloads("deliveries", "key"),
        rate,
        (1.0, 2.0),
        _CONFLUENT,
    ),
    Bar("batch API, mock: × confluent-kafka's produce_batch", "mock", _workloads("batch"), rate, (1.5, 2), ("confluent-kafka",)),
    Bar("sync, every N, real brokers: × best peer", "cluster", _workloads("sync"), rate, (1.1, 1.1), _PEERS),
    Bar(
        "sync, every N, real brokers: CPU per iteration, × aiokafka's",
        "cluster",
        _workloads("sync"),
        cpu_us,
        (0.7, 0.5),
        ("aiokafka",),
        more_is_better=False,
    ),
    Bar(
        "async, real brokers: CPU per record, × confluent-kafka's",
        "cluster",
        (*_workloads("async"), *_workloads("deliveries")),
        cpu_us,
        (1.0, 0.5),
        _CONFLUENT,
        more_is_better=False,
    ),
    Bar(
        "longest hub gap while producing flat out, mock: ms",
        "mock",
        _workloads("gap"),
        longest_gap_ms,
        (10, 10),
        more_is_better=False,
    ),
    Bar(
        "longest hub gap with each codec, at its slowest level too, mock: ms",
        "mock",
        _workloads("codecs"),
        longest_gap_ms,
        (10, 10),
        more_is_better=False,
    ),
    *(
        Bar(
            f"transactions N = {workers}, {where}: × best peer",
            target,
            _workloads("transactions", f"N={workers}"),
            rate,
            (goal, goal),
            _TRANSACTIONAL,
        )
        for target, where, goals in _TRANSACTION_RATES
        for workers, goal in goals.items()
    ),
    *(
        Bar(
            f"transactions N = 16, {where}: CPU of each, × best peer",
            target,
            _workloads("transactions", "N=16"),
            cpu_us,
            (0.6, 0.6),
            _TRANSACTIONAL,
            more_is_better=False,
        )
        for target, where, _ in _TRANSACTION_RATES
    ),
    *(
        Bar(
            f"transactions N = 16, {where}: TCP connections",
            target,
            _workloads("transactions", "N=16"),
            sockets,
            (13, 13),
            more_is_better=False,
        )
        for target, where, _ in _TRANSACTION_RATES
    ),
    Bar(
        "longest hub gap with 16 transactions at once, real brokers: ms over the machine's own",
        "cluster",
        _workloads("transactions-gap"),
        gap_over_control_ms,
        (10, 10),
        more_is_better=False,
    ),
)


def finding(bar: Bar, result: Result, build: str) -> Finding:
    goal = bar.goals[list(BUILDS).index(build)]
    figures = {workload.case: bar.figure(result, build, workload) for workload in bar.workloads}
    measured = {case: figure for case, figure in figures.items() if figure is not None}
    missing = tuple(case for case in figures if case not in measured)
    text = f"{'≥' if bar.more_is_better else '≤'} {goal:g}"
    if not measured:
        return Finding(text, None, "", missing, met=False)
    worst = min(measured, key=lambda case: measured[case] if bar.more_is_better else -measured[case])
    reached = measured[worst] >= goal if bar.more_is_better else measured[worst] <= goal
    where = worst if len(figures) > 1 else ""
    return Finding(text, measured[worst], where, missing, met=reached and not missing)


def table(result: Result) -> str:
    """The bars, what was measured, and whether they are met, for both builds, as Markdown."""
    header = ["bar"]
    for build in BUILDS:
        header += [build, "measured", "met?"]
    rows = [header]
    for bar in BARS:
        row = [bar.title]
        for build in BUILDS:
            row += _cells(finding(bar, result, build))
        rows.append(row)
    return aligned(rows, names=1)


def cases() -> Iterator[Case]:
    """What must be measured to judge every bar, each case once and with all whom any bar compares there."""
    wanted: dict[tuple[TargetName, Workload], set[str]] = {}
    for bar in BARS:
        for workload in bar.workloads:
            wanted.setdefault((bar.target, workload), set(BUILDS.values())).update(bar.peers)
    for (target, workload), contestants in wanted.items():
        yield Case(target, workload, tuple(name for name in SCENARIOS[workload.scenario].contestants if name in contestants))


def _cells(found: Finding) -> list[str]:
    if found.figure is None:
        return [found.goal, "", "not measured"]
    where = f" ({found.where})" if found.where else ""
    if found.missing:
        return [found.goal, f"{found.figure:.2f}{where}", f"not measured: {', '.join(found.missing)}"]
    return [found.goal, f"{found.figure:.2f}{where}", "yes" if found.met else "**no**"]
