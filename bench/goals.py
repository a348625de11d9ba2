"""The goals klife set itself, in groups that are measured together: `python -m bench --bars GROUP ...`.

Where a goal speaks of the best peer, kafka-python is not among them: in no case of any full run was it the best.
Goals are of the compiled build, where they do not say "pure".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.bars import Bar
from bench.figures import cpu_us, gap_over_control_ms, longest_gap_ms, p99_ms, rate, sockets
from bench.results import Place, Result
from bench.scenarios import SCENARIOS, Case, minutes
from bench.workload import TargetName

_CONFLUENT = ("confluent-kafka", "confluent-gevent", "confluent-defaults")
_BATCHING = ("confluent-kafka", "confluent-defaults")  # those that are driven by threads
_PEERS = (*_CONFLUENT, "aiokafka")
_AT_ONCE = ("confluent-kafka", "confluent-gevent", "aiokafka")  # those that do not wait for more records
_TRANSACTIONAL = ("confluent-kafka", "aiokafka")


@dataclass(frozen=True)
class Group:
    """Bars that are measured together, and `also` what is measured with them and has no goal. Of klife's
    `builds` those are measured wherever they take part.
    """

    name: str
    bars: tuple[Bar, ...] = ()
    also: tuple[Case, ...] = ()
    builds: tuple[str, ...] = ("klife", "klife-pure")


def _places(target: TargetName, scenario: str, *cases: str) -> tuple[Place, ...]:
    """The scenario's workloads of these cases, or all."""
    return tuple((target, workload) for workload in SCENARIOS[scenario].workloads if not cases or workload.case in cases)


def _also(target: TargetName, scenario: str) -> tuple[Case, ...]:
    return tuple(Case(target, workload, SCENARIOS[scenario].contestants) for _, workload in _places(target, scenario))


def _less(title: str, places: tuple[Place, ...], value: Callable[[Result], float], goal: float, peers: tuple[str, ...] = ()) -> Bar:
    return Bar(title, places, value, goal, peers, more_is_better=False)


def _transactions(target: TargetName, where: str, rates: dict[int, float]) -> tuple[Bar, ...]:
    sixteen = _places(target, "transactions", "N=16")
    return (
        *(
            Bar(f"transactions N = {n}, {where}: × best peer", _places(target, "transactions", f"N={n}"), rate, goal, _TRANSACTIONAL)
            for n, goal in rates.items()
        ),
        _less(f"transactions N = 16, {where}: CPU of each, × best peer", sixteen, cpu_us, 0.6, _TRANSACTIONAL),
        _less(f"transactions N = 16, {where}: TCP connections", sixteen, sockets, 13),
    )


def _at_rate(rate: str, target: TargetName, where: str, goal: float, *cases: str) -> tuple[Bar, ...]:
    """Processor time at a given rate: beside those who wait as long for more records, and klife that does not wait
    beside all, which is the strictest.
    """
    places = _places(target, "latency", *cases)
    return (
        _less(f"{rate} records/s, {where}: CPU, × best peer that does not linger either", places, cpu_us, goal, _AT_ONCE),
        Bar(
            f"{rate} records/s, {where}: CPU, both with a linger of 5 ms, × confluent-kafka's defaults",
            places,
            cpu_us,
            goal,
            ("confluent-defaults",),
            more_is_better=False,
            of="klife-linger",
        ),
        _less(f"{rate} records/s, {where}: CPU, × best peer, though that lingers and klife does not", places, cpu_us, goal, _PEERS),
    )


_CODECS = ("gzip", "snappy", "lz4", "zstd")
_30_PARTITIONS, *_ = (workload for _, workload in _places("mock", "partitions", "30 partitions"))
_AT_1000 = ("1,000 records/s", "1,000 records/s, 5 in flight")
_AT_10_000 = ("10,000 records/s", "10,000 records/s, 5 in flight")

_GROUPS = (
    Group(
        "sync-mock",
        (
            Bar("sync N = 16, mock: × the better confluent-kafka", _places("mock", "sync", "N=16"), rate, 6, _CONFLUENT),
            Bar("sync N = 16, mock: × aiokafka", _places("mock", "sync", "N=16"), rate, 5.5, ("aiokafka",)),
        ),
    ),
    Group(
        "sync-real",
        (
            Bar("sync, every N, real brokers: × best peer", _places("cluster", "sync"), rate, 1.2, _PEERS),
            _less("sync N = 1, 2, real brokers: CPU, × best peer", _places("cluster", "sync", "N=1", "N=2"), cpu_us, 0.8, _PEERS),
        ),
    ),
    Group(
        "small",
        (
            Bar("deliveries, no key, mock: × the better confluent-kafka", _places("mock", "deliveries", "no key"), rate, 4, _CONFLUENT),
            Bar("deliveries, key, mock: × the better confluent-kafka", _places("mock", "deliveries", "key"), rate, 3, _CONFLUENT),
            Bar("batch, no key, mock: × the better confluent-kafka", _places("mock", "batch", "no key"), rate, 3.5, _BATCHING),
            Bar("batch, key, mock: × the better confluent-kafka", _places("mock", "batch", "key"), rate, 2.5, _BATCHING),
        ),
    ),
    Group(
        "callbacks",
        (
            Bar("1000 B with callbacks, mock: × the better confluent-kafka", _places("mock", "async"), rate, 1.3, _CONFLUENT),
            _less("1000 B with callbacks, real brokers: CPU, × confluent-kafka", _places("cluster", "async"), cpu_us, 0.5, _CONFLUENT),
        ),
    ),
    Group(
        "latency",
        (
            *_at_rate("1 000", "mock", "mock", 1, _AT_1000[0]),
            *_at_rate("1 000", "cluster", "real brokers", 1, *_AT_1000),
            _less("1 000 records/s, real brokers: p99, × best peer", _places("cluster", "latency", *_AT_1000), p99_ms, 1, _PEERS),
            *_at_rate("10 000", "mock", "mock", 0.8, _AT_10_000[0]),
            *_at_rate("10 000", "cluster", "real brokers", 0.8, *_AT_10_000),
        ),
    ),
    Group(
        "compression",
        (
            *(
                Bar(f"{codec}, mock: × the better confluent-kafka", _places("mock", "compression", codec), rate, 1.3, _BATCHING)
                for codec in _CODECS
            ),
            *(
                _less(f"{codec}, mock: CPU, × confluent-kafka", _places("mock", "compression", codec), cpu_us, 0.55, _BATCHING)
                for codec in _CODECS
            ),
        ),
    ),
    Group(
        "partitions",
        (
            Bar(
                "1 000 active partitions, mock: × best peer",
                _places("mock", "partitions", "1,000 partitions"),
                rate,
                2,
                (*_BATCHING, "aiokafka"),
            ),
            Bar(
                "1 000 active partitions, mock: CPU, × that of 30",
                _places("mock", "partitions", "1,000 partitions"),
                cpu_us,
                2,
                beside=_30_PARTITIONS,
                more_is_better=False,
            ),
        ),
        _also("mock", "partitions"),
    ),
    Group(
        "gap",
        (
            _less(
                "longest hub gap flat out, without and with each codec, mock: ms over control",
                (*_places("mock", "gap"), *_places("mock", "codecs-flat-out")),
                gap_over_control_ms,
                5,
            ),
            Bar(
                "pure: longest hub gap with 10 000 held deliveries, mock: ms",
                _places("mock", "gap", "deliveries, 10,000 held"),
                longest_gap_ms,
                10,
                more_is_better=False,
                of="klife-pure",
            ),
        ),
    ),
    Group(
        "codecs",
        (
            _less(
                "longest hub gap beside 256 that wait, with each codec, mock: ms over control",
                _places("mock", "codecs"),
                gap_over_control_ms,
                5,
            ),
        ),
        builds=("klife",),
    ),
    Group(
        "around",
        (
            Bar(
                'sync N = 16 in plain threads (`run_in="thread"`), mock: × confluent-kafka',
                _places("mock", "threads", "N=16"),
                rate,
                1,
                ("confluent-kafka",),
                of="klife-threads",
            ),
            Bar(
                "with Prometheus, small records, mock: CPU, × without",
                _places("mock", "prometheus"),
                cpu_us,
                1.03,
                ("klife",),
                more_is_better=False,
                of="klife-prometheus",
            ),
        ),
    ),
    Group(
        "transactions",
        (
            *_transactions("cluster", "real brokers", {1: 3, 4: 1.6, 16: 1.1}),
            _less(
                "longest hub gap with 16 transactions at once, real brokers: ms over control",
                _places("cluster", "transactions-gap"),
                gap_over_control_ms,
                10,
            ),
        ),
    ),
    Group("transactions-3.9", _transactions("cluster-3.9", "Kafka 3.9", {1: 3, 4: 1.6, 16: 1.3})),
    Group("large", also=(*_also("mock", "large"), *_also("cluster", "large"))),
    Group("workers", also=_also("cluster", "workers")),
)


def _contestants(group: Group) -> dict[Place, set[str]]:
    """Whom the group's bars compare at each place, and klife's builds."""
    wanted: dict[Place, set[str]] = {(case.target, case.workload): set(case.contestants) for case in group.also}
    for bar in group.bars:
        for place in bar.places:
            wanted.setdefault(place, {*group.builds}).update((bar.of, *bar.peers))
    return wanted


def _pure() -> Bar:
    """Pure Python beside the compiled core, wherever both are measured for another goal."""
    measured = {place: _contestants(group) for group in _GROUPS for place in _contestants(group)}
    both = tuple(
        place for place, by in measured.items() if {"klife", "klife-pure"} <= by[place] & {*SCENARIOS[place[1].scenario].contestants}
    )
    return Bar("pure: CPU in every scenario, × compiled", both, cpu_us, 4, ("klife",), more_is_better=False, of="klife-pure")


GROUPS = {group.name: group for group in _GROUPS}
BARS = (*(bar for group in _GROUPS for bar in group.bars), _pure())


def bars_of(names: Sequence[str]) -> tuple[Bar, ...]:
    """The bars of these groups; all, with the one that spans them, where all are named or none."""
    return BARS if not names or set(names) == set(GROUPS) else tuple(bar for name in names for bar in GROUPS[name].bars)


def cases(names: Sequence[str] = ()) -> Iterator[Case]:
    """What must be measured to judge the bars of these groups (or of all), each case once and with all whom
    any bar compares there.
    """
    wanted: dict[Place, set[str]] = {}
    for group in (GROUPS[name] for name in names or GROUPS):
        for place, contestants in _contestants(group).items():
            wanted.setdefault(place, set()).update(contestants)
    for (target, workload), contestants in wanted.items():
        yield Case(target, workload, tuple(name for name in SCENARIOS[workload.scenario].contestants if name in contestants))


def estimates(rounds: int, seconds: float) -> str:
    """How many minutes each group takes, a line each, and all together."""
    lines = [
        f"  {name:<18}{minutes(list(cases([name])), rounds, seconds):5.1f} min   {len(group.bars)} bars"
        for name, group in GROUPS.items()
    ]
    return "\n".join([*lines, f"  {'all in one run':<18}{minutes(list(cases()), rounds, seconds):5.1f} min   {len(BARS)} bars"])
