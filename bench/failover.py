"""`python -m bench.failover`: each broker of a real cluster killed -9 and restarted in turn, under load; what
it cost.

Thirty greenlets send a record each, wait for it, and send the next. Then all that was sent is looked for in
the logs by another client. A record must be there once, where its result says and in its greenlet's order,
and none may fail: the delivery timeout is 60 s. Two times are measured: the longest that a greenlet waited
for a record, and, for each partition of a killed leader, how long after the cluster had elected another its
first record was acknowledged. The first is mostly the brokers' (a dead one is missed after
`broker.session.timeout.ms`, 3 s here), the second ours.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, field
from time import monotonic

import gevent
import structlog

from klife import Client, Record
from klife.admin import AdminClient
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic
from klife.testing.cluster import KafkaCluster
from tests.chaos.witness import elect_preferred_leaders, payload, read_logs

TOPIC = "failover"
PARTITIONS = 6
LOOK_SECONDS = 0.02


@dataclass
class Report:
    """What a run found. Seconds; `failovers` from the election of a new leader to the first record it
    acknowledged.
    """

    kills: int = 0
    delivered: int = 0
    failed: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    misplaced: int = 0
    longest_wait: float = 0.0
    elections: list[float] = field(default_factory=list)  # from the kill to the election
    failovers: list[float] = field(default_factory=list)

    @property
    def flawless(self) -> bool:
        return not (self.failed or self.lost or self.doubled or self.out_of_order or self.misplaced)

    def __str__(self) -> str:
        def times(values: list[float]) -> str:
            ordered = sorted(values) or [float("nan")]
            return f"median {ordered[len(ordered) // 2]:.2f} s, longest {ordered[-1]:.2f} s ({len(values)} partitions)"

        lines = [
            f"{self.kills} kills, {self.delivered} records delivered, {len(self.failed)} failed, {self.lost} lost, "
            f"{self.doubled} doubled, {self.out_of_order} out of order, {self.misplaced} not where they were said to be",
            f"longest wait for a record: {self.longest_wait:.2f} s",
            f"kill to election: {times(self.elections)}",
            f"election to the first acknowledged record: {times(self.failovers)}",
        ]
        return "\n".join(lines + [f"failed: {error}" for error in self.failed[:5]])


class _Load:
    """Greenlets that send one record after the other, each to a partition of its own choice, and note the
    acknowledgements.
    """

    def __init__(self, client: Client, workers: int) -> None:
        self.client = client
        self.acknowledged: dict[tuple[int, int], tuple[int, int | None]] = {}  # (worker, number): (partition, offset)
        self.acknowledged_at: list[list[float]] = [[] for _ in range(PARTITIONS)]
        self.failed: list[str] = []
        self.longest_wait = 0.0
        self.going = True
        self.greenlets = [gevent.spawn(self._work, worker) for worker in range(workers)]

    def _work(self, worker: int) -> None:
        partition, number = worker % PARTITIONS, 0
        while self.going:
            began = monotonic()
            result = self.client.produce_batch([Record(TOPIC, payload(worker, number, 100), partition=partition)]).get()[0]
            now = monotonic()
            self.longest_wait = max(self.longest_wait, now - began)
            if result.error is None:
                self.acknowledged[worker, number] = (partition, result.offset)
                self.acknowledged_at[partition].append(now)
            else:
                self.failed.append(str(result.error))
            number += 1


def run(cluster: KafkaCluster, seconds: float = 0.0, *, kills: int = 3, workers: int = 30, rest: float = 2.0) -> Report:
    """Kill and restart the brokers in turn, for `seconds` and at least `kills` times, with `rest` seconds of
    load before and after each; then read everything back.
    """
    report = Report()
    cluster.create_topic(TOPIC, PARTITIONS, 3, {"min.insync.replicas": 2})
    with Client.start(cluster.bootstrap_servers, name="failover", delivery_timeout_ms=60_000) as client:
        load = _Load(client, workers)
        ends = monotonic() + seconds
        while monotonic() < ends or report.kills < kills:
            gevent.sleep(rest)
            elect_preferred_leaders(cluster.bootstrap_servers)
            gevent.sleep(rest)
            victim = cluster.broker_ids[report.kills % len(cluster.broker_ids)]
            _fail_over(cluster, victim, load, report)
            report.kills += 1
        gevent.sleep(rest)
        load.going = False
        gevent.joinall(load.greenlets, raise_error=True)
    report.delivered, report.failed, report.longest_wait = len(load.acknowledged), load.failed, load.longest_wait
    _read_back(cluster, load, report)
    return report


def _fail_over(cluster: KafkaCluster, victim: int, load: _Load, report: Report) -> None:
    led = [each.index for each in cluster.describe_topic(TOPIC) if each.leader == victim]
    watched = next(address for node_id, address in _addresses(cluster).items() if node_id != victim)
    watcher = gevent.spawn(_elections, watched, victim, led)
    killed = monotonic()
    cluster.kill(victim)
    elected: dict[int, float] = watcher.get(timeout=30)
    for partition, at in elected.items():
        with gevent.Timeout(30):
            while not load.acknowledged_at[partition] or load.acknowledged_at[partition][-1] < at:
                gevent.sleep(LOOK_SECONDS)
        first = next(when for when in load.acknowledged_at[partition] if when >= at)
        report.elections.append(at - killed)
        report.failovers.append(first - at)
    cluster.start(victim)
    cluster.wait_until_in_sync()


def _addresses(cluster: KafkaCluster) -> dict[int, str]:
    with cluster.admin() as admin:
        return {broker.node_id: broker.address for broker in admin.brokers()}


def _elections(address: str, victim: int, partitions: list[int]) -> dict[int, float]:
    """When the broker at `address` first tells of a leader other than `victim`, by partition."""
    elected: dict[int, float] = {}
    with AdminClient(address) as admin:
        while len(elected) < len(partitions):
            asked = MetadataRequest(topics=[MetadataRequestTopic(name=TOPIC)], allow_auto_topic_creation=False)
            answer = admin.send(asked, address)
            now = monotonic()
            for each in answer.topics[0].partitions:
                if each.partition_index in partitions and each.leader_id not in (victim, -1):
                    elected.setdefault(each.partition_index, now)
            gevent.sleep(LOOK_SECONDS)
    return elected


def _read_back(cluster: KafkaCluster, load: _Load, report: Report) -> None:
    found = read_logs(cluster.bootstrap_servers, [TOPIC])
    places: dict[tuple[int, int], list[tuple[int, int]]] = {}
    last: dict[int, int] = {}
    for each in found:
        places.setdefault((each.worker, each.number), []).append((each.partition, each.offset))
        report.out_of_order += each.number < last.get(each.worker, -1)
        last[each.worker] = each.number
    report.doubled = sum(len(where) - 1 for where in places.values())
    for name, (partition, offset) in load.acknowledged.items():
        where = places.get(name)
        report.lost += where is None
        report.misplaced += where is not None and (partition, where[0][1] if offset is None else offset) not in where


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--workers", type=int, default=30)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with KafkaCluster(brokers=3) as cluster:
        report = run(cluster, asked.seconds, workers=asked.workers)
    print(report)
    if not report.flawless:
        raise SystemExit("records were failed, lost, doubled or misplaced: see above")


if __name__ == "__main__":
    main()
