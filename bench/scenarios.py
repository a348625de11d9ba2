"""What is measured: scenarios, each of some workloads that differ in one thing, and who takes part in it on
which cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.contestants import GENERAL, NAMES
from bench.workload import Listener, TargetName, Workload

TARGETS: tuple[TargetName, ...] = ("mock", "cluster", "cluster-3.9")
TARGET_TITLES = {"mock": "mock", "cluster": "real brokers", "cluster-3.9": "real brokers, Kafka 3.9"}

WARMUP_S = 0.5
"""Before each measurement, from the first record delivered on."""
BROKER_WARMUP_S = 120
"""Of real brokers, before the first measurement, by each of the `kinds` of load: a cold JVM is ten times slower, and
one that was loaded for a minute still got quicker in the next two.
"""
LONGER = 2
"""How many times as long that may take by transactions, until their rate has stopped rising."""
# What a measurement takes beside warm-up and length, and a process more, a cluster and a layout of topics, on a
# quiet machine. Counting what the logs hold takes its time with ten thousand partitions.
_STARTING_S, _PROCESS_S, _COUNTING_S = 1.5, 0.5, 0.0004
_CLUSTER_S = {"mock": 0, "cluster": 20, "cluster-3.9": 20}
_LAYOUT_S = 4


@dataclass(frozen=True)
class Scenario:
    """`figures` are names in `figures.py`; the first is the one that is drawn. `repeats` is how often a round
    measures each: more where single measurements scatter most.
    """

    name: str
    title: str
    about: str
    figures: tuple[str, ...]
    workloads: tuple[Workload, ...]
    contestants: tuple[str, ...] = GENERAL
    targets: tuple[TargetName, ...] = ("mock", "cluster")
    repeats: int = 1


@dataclass(frozen=True)
class Case:
    """A workload on a cluster, measured with each of these contestants back to back."""

    target: TargetName
    workload: Workload
    contestants: tuple[str, ...]


WORKERS = (1, 2, 4, 8, 16, 32, 64)
_LISTENERS: tuple[Listener, ...] = ("PLAINTEXT", "SSL", "SASL_SSL")

_SMALL = Workload("", "", "delivery", value_bytes=100, key_bytes=0, placed=False)
_KEYED = replace(_SMALL, key_bytes=16, distinct_keys=10_000)
_TEXT = replace(_SMALL, value_bytes=1000, value_kind="text")
_LARGE = replace(_SMALL, style="callback", placed=True)
_WAITING = 50  # clients of a service, in all or of each process

# The level that takes each codec longest. snappy has none.
_SLOWEST = {"gzip": 9, "snappy": None, "lz4": 12, "zstd": 22}


def _in_processes(processes: int, waiting: int, case: str) -> Workload:
    """One record of 1000 bytes for each waiting client, as for a request of a service."""
    return Workload("workers", case, "sync", waiting, topics=1, processes=processes)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "sync",
            "Waiting for each record",
            "N workers share a client. Each sends a record of 1000 bytes to three topics, waits until all three are acknowledged, and "
            "again; that is an iteration.",
            ("rate", "cpu", "latency"),
            tuple(Workload("sync", f"N={workers}", "sync", workers) for workers in WORKERS),
        ),
        Scenario(
            "threads",
            "Waiting for each record, in plain threads",
            "The same in a program without a hub: N threads share a client that runs in a thread of its own.",
            ("rate", "cpu", "latency"),
            tuple(Workload("threads", f"N={workers}", "sync", workers) for workers in WORKERS),
            contestants=("klife-threads", "confluent-kafka"),
            targets=("mock",),
        ),
        Scenario(
            "async",
            "Not waiting, a callback for each record",
            "N workers send records of 1000 bytes with keys of 50 and explicit partitions as fast as the client lets them.",
            ("rate", "cpu"),
            tuple(Workload("async", f"N={workers}", "callback", workers) for workers in (1, 4)),
        ),
        Scenario(
            "deliveries",
            "Not waiting, small records, the outcome of each looked at",
            "One worker sends records of 100 bytes; the client chooses the partition. For each there is a delivery or a future, got "
            "once it is settled; confluent-kafka has callbacks only. Keys have 16 bytes: 10 000 that repeat, or (`fresh keys`) "
            "more than any client remembers.",
            ("rate", "cpu"),
            (
                replace(_SMALL, scenario="deliveries", case="no key"),
                replace(_KEYED, scenario="deliveries", case="key"),
                replace(_KEYED, scenario="deliveries", case="fresh keys", distinct_keys=0),
            ),
        ),
        Scenario(
            "batch",
            "The call for many records",
            "The same records, a thousand in a call; the outcome of each record is looked at.",
            ("rate", "cpu"),
            (
                replace(_SMALL, scenario="batch", case="no key", style="batch"),
                replace(_KEYED, scenario="batch", case="key", style="batch"),
            ),
            contestants=("klife", "klife-pure", "confluent-kafka", "confluent-defaults"),
        ),
        Scenario(
            "large",
            "Large values",
            "One worker sends values of 64 KB or 1 MB to random partitions, a callback for each. confluent-kafka's "
            "`message.max.bytes`, which is a million bytes with key and overhead, is raised for the larger.",
            ("rate", "cpu"),
            tuple(
                replace(_LARGE, scenario="large", case=case, value_bytes=size)
                for case, size in (("64 KB", 65_536), ("1 MB", 1_000_000))
            ),
            contestants=("klife", "klife-pure", "confluent-kafka", "confluent-defaults", "aiokafka"),
        ),
        Scenario(
            "topics",
            "Topics known",
            "Records of 100 bytes to one topic, while the client knows 1, 100 or 10 000. kafka-python and aiokafka get to know a topic "
            "by asking for all metadata once more, so they do not take part.",
            ("cpu", "rate"),
            tuple(
                replace(_SMALL, scenario="topics", case=f"{known:,} known", topics=1, idle_topics=known - 1)
                for known in (1, 100, 10_000)
            ),
            contestants=("klife", "klife-pure", "confluent-kafka"),
            targets=("mock",),
        ),
        Scenario(
            "partitions",
            "Partitions active",
            "Records of 100 bytes to random partitions, of 30 to 10 000.",
            ("cpu", "rate"),
            tuple(
                replace(
                    _SMALL, scenario="partitions", case=f"{topics * each:,} partitions", placed=True, topics=topics, partitions=each
                )
                for topics, each in ((1, 30), (1, 100), (10, 100), (10, 1000))
            ),
            contestants=("klife", "klife-pure", "confluent-kafka", "confluent-defaults", "aiokafka"),
            targets=("mock",),
        ),
        Scenario(
            "compression",
            "Compression",
            "Records of 1000 bytes of words, the outcome of each looked at; each client at its own default level.",
            ("rate", "cpu"),
            tuple(
                replace(_TEXT, scenario="compression", case=codec, compression=codec)
                for codec in ("none", "gzip", "snappy", "lz4", "zstd")
            ),
            contestants=("klife", "klife-pure", "confluent-kafka", "confluent-defaults", "aiokafka"),
        ),
        Scenario(
            "latency",
            "Latency at an offered rate",
            "One worker sends records of 100 bytes at a fixed rate, however long they take, with one request in flight to a broker, or "
            "with five (aiokafka always has one, confluent-defaults any number). confluent-defaults waits 5 ms for more records, "
            "klife-linger as well, the others not. From the call to the callback; where the client held the sender up by more "
            "than 2 ms, from when the record was due.",
            ("latency", "cpu", "rate"),
            tuple(
                replace(
                    _SMALL,
                    scenario="latency",
                    case=f"{rate:,} records/s{f', {in_flight} in flight' if in_flight > 1 else ''}",
                    style="rate",
                    rate=rate,
                    in_flight=in_flight,
                )
                for rate in (1_000, 10_000)
                for in_flight in (1, 5)
            ),
            contestants=(*GENERAL, "klife-linger"),
            repeats=2,
        ),
        Scenario(
            "gap",
            "What the neighbours notice",
            "One worker sends records of 100 bytes without waiting, while a greenlet (aiokafka: a task) of the same process wants to "
            "be woken every 5 ms. How late it was woken; beside it, a process that does nothing else. The worker holds 100 000 "
            "deliveries or futures that it has not looked at, or 10 000; confluent-kafka has only callbacks.",
            ("gap", "rate", "cpu"),
            (
                replace(_SMALL, scenario="gap", case="deliveries", ticking=True),
                replace(_SMALL, scenario="gap", case="deliveries, 10,000 held", ticking=True, window=10),
                replace(_SMALL, scenario="gap", case="callbacks", style="callback", ticking=True),
            ),
            contestants=("klife", "klife-pure", "confluent-gevent", "aiokafka"),
        ),
        Scenario(
            "security",
            "TLS and SASL",
            "The first two scenarios over each listener of the same brokers. SASL_SSL authenticates by SCRAM-SHA-512.",
            ("rate", "cpu"),
            tuple(
                replace(workload, scenario="security", case=f"{workload.scenario} {workload.case}, {listener}", listener=listener)
                for workload in (
                    Workload("sync", "N=1", "sync", 1),
                    Workload("sync", "N=16", "sync", 16),
                    Workload("async", "N=1", "callback", 1),
                )
                for listener in _LISTENERS
            ),
            contestants=("klife", "confluent-kafka"),
            targets=("cluster",),
        ),
        Scenario(
            "transactions",
            "Transactions",
            "N workers each begin a transaction, send a record of 1000 bytes to three topics, commit, and again. klife's share a "
            "client with one pool; the others' each have a producer, and with it a transactional id, of their own. Kafka 3.9 has "
            "version 1 of transactions; 4.3 has version 2 (KIP-890), which klife alone speaks.",
            ("rate", "cpu", "latency", "footprint"),
            tuple(Workload("transactions", f"N={workers}", "transaction", workers) for workers in (1, 4, 16)),
            contestants=("klife", "klife-pure", "confluent-kafka", "aiokafka"),
            targets=("cluster", "cluster-3.9"),
        ),
        Scenario(
            "transactions-gap",
            "What the neighbours notice of transactions",
            "The same with 16 workers, beside a greenlet (aiokafka: a task) of the same process that wants to be woken every 5 ms. "
            "confluent-kafka's commit waits in C, where no greenlet runs, so it does not take part.",
            ("gap", "rate"),
            (Workload("transactions-gap", "N=16", "transaction", 16, ticking=True),),
            contestants=("klife", "klife-pure", "aiokafka"),
            targets=("cluster",),
        ),
        Scenario(
            "codecs-flat-out",
            "What the neighbours notice of a codec, flat out",
            "Beside one worker that sends records of 1000 bytes of words as fast as it may, which are compressed at the codec's "
            "default level and at its slowest.",
            ("gap", "rate", "cpu"),
            tuple(
                replace(
                    _TEXT,
                    scenario="codecs-flat-out",
                    case=f"{codec}{f' {level}' if level else ''}",
                    compression=codec,
                    level=level,
                    ticking=True,
                    window=10,  # what waits at the end takes seconds with the slowest
                )
                for codec, slowest in _SLOWEST.items()
                for level in dict.fromkeys((None, slowest))
            ),
            contestants=("klife", "klife-pure"),
            targets=("mock",),
        ),
        Scenario(
            "codecs",
            "What the neighbours notice of a codec",
            "The same beside 256 workers that wait for records of 1000 bytes of words, which are compressed at the codec's default "
            "level and at its slowest; in large batches, or in small ones of 90 partitions.",
            ("gap",),
            tuple(
                replace(
                    _TEXT,
                    scenario="codecs",
                    case=f"{codec}{f' {level}' if level else ''}{', small batches' if placed else ''}",
                    style="sync",
                    workers=256,
                    compression=codec,
                    level=level,
                    placed=placed,
                    ticking=True,
                )
                for codec, slowest in _SLOWEST.items()
                for level, placed in dict.fromkeys(((None, False), (slowest, False), (slowest, True)))
            ),
            contestants=("klife", "klife-pure"),
            targets=("mock",),
        ),
        Scenario(
            "prometheus",
            "With Prometheus and without",
            "Records of 100 bytes without a key as fast as the client takes them, with the hooks that feed Prometheus and without any.",
            ("cpu", "rate"),
            (replace(_SMALL, scenario="prometheus", case="no key"),),
            contestants=("klife", "klife-prometheus"),
            targets=("mock",),
            repeats=3,
        ),
        Scenario(
            "workers",
            "How many workers",
            "A service in 1, 4 or 8 processes, each with a client of its own. Clients of the service wait: each for a record of 1000 "
            "bytes, and again. There are 50 of them in all, or 50 for each process. p99, processor time and connections are those of "
            "all processes together.",
            ("rate", "latency", "cpu", "footprint"),
            (
                _in_processes(1, _WAITING, "1 process, 50 waiting"),
                *(_in_processes(number, _WAITING, f"{number} processes, 50 waiting in all") for number in (4, 8)),
                *(_in_processes(number, _WAITING * number, f"{number} processes, 50 waiting each") for number in (4, 8)),
            ),
            contestants=("klife", "confluent-kafka", "confluent-gevent"),
            targets=("cluster",),
        ),
    )
}

# Each kind of load, and each contestant with the most of them that 20 seconds allow.
SMOKE = (
    Case("mock", SCENARIOS["sync"].workloads[1], NAMES),
    Case("mock", SCENARIOS["async"].workloads[0], ("klife", "confluent-kafka")),
    Case("mock", replace(SCENARIOS["deliveries"].workloads[1], window=2), ("klife-pure", "aiokafka", "kafka-python")),
    Case("mock", SCENARIOS["batch"].workloads[0], ("klife", "confluent-kafka")),
    Case("mock", SCENARIOS["latency"].workloads[0], ("aiokafka",)),
    Case("mock", SCENARIOS["gap"].workloads[0], ("klife", "confluent-gevent")),
    Case("mock", replace(SCENARIOS["workers"].workloads[1], processes=2), ("klife",)),
    Case("mock", SCENARIOS["transactions"].workloads[1], ("klife", "confluent-kafka", "aiokafka")),
)


def cases(scenarios: Sequence[str], targets: Sequence[TargetName]) -> list[Case]:
    """All there is to measure in these scenarios on these clusters, by all who can."""
    return [
        Case(target, workload, SCENARIOS[name].contestants)
        for target in targets
        for name in scenarios
        if target in SCENARIOS[name].targets
        for workload in SCENARIOS[name].workloads
    ]


def kinds(chosen: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Those of transactions, and the others."""
    transactions = [case for case in chosen if case.workload.style == "transaction"]
    return transactions, [case for case in chosen if case not in transactions]


def minutes(chosen: Sequence[Case], rounds: int, seconds: float) -> float:
    """About how long it takes to measure these cases."""
    whole = 0.0
    for target in dict.fromkeys(case.target for case in chosen):
        here = [case for case in chosen if case.target == target]
        transactions, others = kinds(here)
        warmup = BROKER_WARMUP_S * (LONGER * bool(transactions) + bool(others))
        whole += _CLUSTER_S[target] + (0 if target == "mock" else warmup)
        whole += _LAYOUT_S * len({case.workload.layout for case in here})
        for case in here:
            shape = case.workload
            one = seconds + WARMUP_S + _STARTING_S + _PROCESS_S * (shape.processes - 1) + _COUNTING_S * shape.topics * shape.partitions
            whole += rounds * SCENARIOS[shape.scenario].repeats * len(case.contestants) * one
    return whole / 60


def restricted(
    chosen: Sequence[Case], contestants: Sequence[str], targets: Sequence[TargetName], named: Sequence[str] | None = None
) -> list[Case]:
    """Of these cases what is left with only these contestants, clusters and, where any are given, names."""
    left = [replace(case, contestants=tuple(name for name in case.contestants if name in contestants)) for case in chosen]
    asked = [case for case in left if not named or case.workload.case in named]
    return [case for case in asked if case.contestants and case.target in targets]
