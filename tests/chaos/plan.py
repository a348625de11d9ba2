"""What a run will be: everything that is random, drawn from the seed alone.

The load and the world each make the plan for themselves and find the same one. Faults come in tracks that do
not wait for one another: of the brokers at most one is away at a time (a cluster of three keeps its quorum
and `min.insync.replicas`), while connections break, topics change and actors die at the same time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BROKERS = 3
QUIET_SECONDS = 4.0
"""At the beginning, so that the load is under way, and at the end."""

BROKER_FAULTS = ("kill", "kill", "stop", "pause", "pause", "elect", "pause all")
NETWORK_FAULTS = ("cut", "cut", "cut inside an answer", "lose answers", "lose answers", "slow", "black hole")
TOPIC_FAULTS = ("expand", "expand", "delete")
ACTOR_FAULTS = ("kill actor",)
COORDINATOR_FAULTS = ("move coordinators",)


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` strikes `at` seconds after the beginning, for `seconds`; `target` chooses what it strikes,
    whatever that is.
    """

    at: float
    kind: str
    target: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.kind} ({self.target}, {self.seconds:.1f} s)"


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic, and the producer of its records. `doomed` ones may be deleted, and made anew with `partitions`
    again.
    """

    name: str
    partitions: int
    producer: str
    config: Mapping[str, object]
    doomed: bool

    @property
    def picky(self) -> bool:
        """Whether it refuses records without a key."""
        return "cleanup.policy" in self.config


@dataclass(frozen=True, slots=True)
class Plan:
    """A run. `client` are the options of `Client.start`, producers, topics and the pool included. `txn_topics`
    are those of the transactions, which have `owners` in place of workers, and `thread_owners` in a process of its
    own, whose client runs in a thread.
    """

    seed: int
    seconds: float
    topics: tuple[TopicPlan, ...]
    client: Mapping[str, Any]
    workers: int
    records_per_second: int
    faults: tuple[tuple[Fault, ...], ...]
    txn_topics: tuple[TopicPlan, ...]
    owners: int
    thread_owners: int

    @property
    def producers(self) -> dict[str, Mapping[str, Any]]:
        return {options["name"]: options for options in self.client["producers"]}

    @property
    def pool(self) -> Mapping[str, Any]:
        """The options of the pool."""
        (pool,) = self.client["txn_pools"]
        return dict(pool)

    @property
    def thread_client(self) -> dict[str, Any]:
        """The options of the client in a thread of its own: a pool as the other's, and ids that are not."""
        pool = self.pool
        base = f"{pool['base_txn_id']}-threads" if pool["base_txn_id"] else ""
        others = {name: value for name, value in self.client.items() if name not in ("producers", "topics", "txn_pools")}
        return {**others, "run_in": "thread", "txn_pools": [{**pool, "base_txn_id": base}]}

    @property
    def max_block(self) -> float:
        """Seconds `produce` may wait."""
        return float(self.client["max_block_ms"]) / 1000

    @property
    def delivery_timeout(self) -> float:
        """Seconds until the last record of the slowest producer is settled."""
        return float(max(options["delivery_timeout_ms"] for options in self.client["producers"])) / 1000

    @property
    def dealing_time(self) -> float:
        """Seconds that the end of a transaction may take, and a little."""
        return float(self.pool["delivery_timeout_ms"] + self.pool["txn_timeout_ms"]) / 1000 + 15.0

    def __str__(self) -> str:
        named = {**self.producers, "the pool": self.pool}
        options = [f"    {name}: " + ", ".join(f"{k}={v}" for k, v in o.items() if k != "name") for name, o in named.items()]
        topics = [
            f"    {t.name}: {t.partitions} partitions by {t.producer}{', doomed' if t.doomed else ''} {dict(t.config) or ''}".rstrip()
            for t in (*self.topics, *self.txn_topics)
        ]
        faults = [f"    {fault}" for fault in sorted((f for track in self.faults for f in track), key=lambda f: f.at)]
        head = (
            f"seed {self.seed}: {self.seconds:g} s, {self.workers} workers, {self.records_per_second} records/s, "
            f"{self.owners} owners and {self.thread_owners} in threads, "
            f"max_buffered_bytes {self.client['max_buffered_bytes']}, on_buffer_full {self.client['on_buffer_full']}, "
            f"max_block_ms {self.client['max_block_ms']}"
        )
        return "\n".join([head, "  producers", *options, "  topics", *topics, "  faults", *faults])


def plan_for(seed: int, minutes: float) -> Plan:
    """The plan of this seed for a run of that many minutes."""
    rng = random.Random(seed)
    seconds = minutes * 60.0
    max_buffered = rng.choice((256_000, 1_000_000, 4_000_000, 4_000_000, 32_000_000))
    producers = [_producer(rng, index, max_buffered) for index in range(rng.randint(1, 3))]
    topics = [_topic(rng, seed, index, producers) for index in range(rng.randint(2, 5))]
    topics.append(TopicPlan(f"chaos-{seed}-doomed", rng.randint(1, 4), rng.choice(producers)["name"], {}, doomed=True))
    client = {
        "max_buffered_bytes": max_buffered,
        "on_buffer_full": rng.choice(("block", "block", "raise")),
        "max_block_ms": rng.choice((500, 2_000, 10_000)),
        "metadata_max_age_ms": rng.choice((2_000, 30_000, 300_000)),
        "reconnect_backoff_max_ms": rng.choice((200, 1_000, 10_000)),
        "connect_timeout_ms": rng.choice((1_000, 5_000)),
        "producers": producers,
        "topics": [{"name": topic.name, "default_producer": topic.producer} for topic in topics],
    }
    dealing = random.Random(f"{seed}/transactions")
    client["txn_pools"] = [_pool(dealing, seed)]
    txn_topics = tuple(
        TopicPlan(f"chaos-{seed}-txn-{index}", dealing.randint(1, 6), "the pool", {}, doomed=False) for index in range(2)
    )
    owners = dealing.randint(4, 12)
    thread_owners = random.Random(f"{seed}/threads").randint(2, 4)
    workers = rng.randint(24, 60)
    rate = rng.choice((300, 800, 1_500, 2_500))
    tracks = (
        _track(rng, seconds, BROKER_FAULTS, every=(5.0, 15.0), lasting=(0.5, 5.0)),
        _track(rng, seconds, NETWORK_FAULTS, every=(2.0, 9.0), lasting=(0.2, 4.0)),
        _track(rng, seconds, TOPIC_FAULTS, every=(10.0, 30.0), lasting=(0.0, 2.0)),
        _track(rng, seconds, ACTOR_FAULTS, every=(0.5, 6.0), lasting=(0.0, 0.0)),
        _track(dealing, seconds, COORDINATOR_FAULTS, every=(3.0, 10.0), lasting=(0.0, 0.0)),
    )
    return Plan(seed, seconds, tuple(topics), client, workers, rate, tracks, txn_topics, owners, thread_owners)


def _producer(rng: random.Random, index: int, max_buffered: int) -> dict[str, Any]:
    """The first promises everything; others may promise less."""
    acks: str | int = "all" if index == 0 else rng.choice(("all", "all", "all", 1, 0))
    request = rng.choice((1_000, 3_000, 6_000))
    linger = rng.choice((0, 0, 1, 5, 30))
    return {
        "name": f"p{index}",
        "acks": acks,
        "enable_idempotence": index == 0 or (acks == "all" and rng.random() < 0.7),
        "max_in_flight_requests": rng.randint(1, 5),
        "batchers_count": rng.randint(1, 3),
        "linger_ms": linger,
        "batch_size_bytes": min(rng.choice((16_384, 100_000, 512_000)), max_buffered),
        "compression_type": rng.choice(("none", "none", "gzip", "snappy", "lz4", "zstd")),
        "request_timeout_ms": request,
        "delivery_timeout_ms": linger + request + rng.choice((0, 4_000, 20_000)),
        "retry_backoff_ms": rng.choice((10, 100)),
        "retry_backoff_max_ms": 1_000,
    }


def _pool(rng: random.Random, seed: int) -> dict[str, Any]:
    request = rng.choice((1_000, 3_000, 6_000))
    delivery = request + rng.choice((0, 4_000, 10_000))
    return {
        "name": "dealings",
        "base_txn_id": rng.choice(("", f"chaos-{seed}")),
        "pool_size": rng.choice((2, 5, 20)),
        "checkout_timeout_ms": rng.choice((500, 5_000)),
        "txn_timeout_ms": delivery + rng.choice((0, 5_000, 30_000)),
        "delivery_timeout_ms": delivery,
        "request_timeout_ms": request,
        "retry_backoff_ms": rng.choice((10, 100)),
        "retry_backoff_max_ms": 1_000,
        "compression_type": rng.choice(("none", "none", "lz4")),
    }


def _topic(rng: random.Random, seed: int, index: int, producers: list[dict[str, Any]]) -> TopicPlan:
    configs: tuple[dict[str, object], ...] = (
        {},
        {},
        {"max.message.bytes": 12_000},  # batches have to be split, and some records are too large
        {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 1.0},  # records without a key are refused (KIP-467)
        {"message.timestamp.type": "LogAppendTime"},
    )
    config = rng.choice(configs)
    producer = rng.choice(producers)
    if producer["acks"] == 0:
        config = {}  # a broker that refuses a record it must not answer for closes the connection: there would be nothing else to see
    return TopicPlan(f"chaos-{seed}-{index}", rng.randint(1, 8), producer["name"], config, doomed=False)


def _track(
    rng: random.Random, seconds: float, kinds: tuple[str, ...], *, every: tuple[float, float], lasting: tuple[float, float]
) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    at = QUIET_SECONDS + rng.uniform(0.0, every[0])
    while True:
        fault = Fault(at, rng.choice(kinds), rng.randrange(1_000), rng.uniform(*lasting))
        if fault.at + fault.seconds > seconds - QUIET_SECONDS:
            return tuple(faults)
        faults.append(fault)
        at += fault.seconds + rng.uniform(*every)
