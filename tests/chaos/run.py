"""A run: cluster and proxies, the load and the control process beside them, faults; then the logs, the check,
and the report.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
from gevent import subprocess

from klife.admin import NewTopic
from klife.testing.cluster import KafkaCluster
from tests.chaos.check import Found, Promise, Slack, Violation, check
from tests.chaos.check_transactions import check_transactions
from tests.chaos.faults import Faults
from tests.chaos.headers import BatchHeader, read_headers
from tests.chaos.journal import DELIVERED, Entry, read_journal
from tests.chaos.ledger import COMMITTED, read_ledger
from tests.chaos.plan import BROKERS, Plan, plan_for
from tests.chaos.proxy import Proxy
from tests.chaos.start import begin_when_ready, clear_line
from tests.chaos.threads import LEDGER, SUMMARY
from tests.chaos.witness import held_up, read_committed, read_logs
from tests.support import importing_tests
from tests.support.txn_feature import settle_on

END_SECONDS = 60.0
"""For the load to end, after the last of its records must be settled."""
LATE_SECONDS = 1.0
"""How late an outcome may be; what the machine kept the load waiting is added."""
RARE_COMPUTED_MS, WORST_COMPUTED_MS = 50.0, 200.0
"""How long the load, its workers included, may compute between two ticks: what one in a thousand exceeds, and
the worst.
"""
WORST_HELD_MS = 1_000.0
"""How long the hub may be held in all: a call that blocks for a broker that is paused would be seen."""
OWN_BYTES = 64_000_000
"""Resident memory that the load may take beyond 2.5 times `max_buffered_bytes`: its greenlets, results, and
the journal's buffer.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    plan: Plan
    violations: list[Violation]
    counts: Mapping[str, int]
    summary: Mapping[str, Any]
    control: Mapping[str, Any]
    notes: list[tuple[float, str]]
    entries: list[Entry]
    found: list[Found]
    headers: Mapping[tuple[str, int], list[BatchHeader]]
    folder: Path

    @property
    def missing(self) -> list[str]:
        """What there was none of. Without either a run shows nothing, as one does whose machine was too busy for its
        load.
        """
        wanted = {"records delivered": DELIVERED, "transactions committed": f"transactions {COMMITTED}"}
        return [name for name, count in wanted.items() if not self.counts.get(count)]


class World:
    """A cluster behind proxies. Used for one seed after the other."""

    def __init__(self, cluster: KafkaCluster, proxies: Mapping[int, Proxy]) -> None:
        self._cluster = cluster
        self._proxies = proxies

    @classmethod
    @contextlib.contextmanager
    def up(cls, version: str | None = None, *, transactions: int | None = None) -> Iterator[World]:
        """Start brokers of that version, and proxies; end them with the block. `transactions` is the version of
        those, where it is not the brokers' latest.
        """
        proxies = {node_id: Proxy() for node_id in range(1, BROKERS + 1)}
        try:
            addresses = {node_id: proxy.address for node_id, proxy in proxies.items()}
            config = {
                "auto.leader.rebalance.enable": "false",
                "broker.session.timeout.ms": 2000,
                "broker.heartbeat.interval.ms": 300,
                "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
            }
            with KafkaCluster(brokers=BROKERS, version=version, backend="jars", proxies=addresses, config=config) as cluster:
                targets = cluster.bootstrap_servers_for("PROXIED").split(",")
                for proxy, target in zip(proxies.values(), targets, strict=True):
                    host, _, port = target.rpartition(":")
                    proxy.target = host, int(port)
                if transactions is not None:
                    settle_on(cluster, transactions)
                yield cls(cluster, proxies)
        finally:
            for proxy in proxies.values():
                proxy.close()

    def run(self, seed: int, minutes: float, folder: Path) -> Outcome:
        """Run the seed's plan. The journal and the client's log events stay in `folder`."""
        plan = plan_for(seed, minutes)
        folder.mkdir(parents=True, exist_ok=True)
        names = [topic.name for topic in plan.topics]
        with self._cluster.admin() as admin:
            topics = [*plan.topics, *plan.txn_topics]
            admin.create_topics([NewTopic(topic.name, topic.partitions, config=topic.config) for topic in topics])
        faults = Faults(plan, self._cluster, self._proxies)
        clear_line(folder)
        bootstrap = ",".join(proxy.address for proxy in self._proxies.values())
        load = _start("load", str(seed), str(minutes), bootstrap, str(folder), log=folder / "load.log")
        threads = _start("threads", str(seed), str(minutes), bootstrap, str(folder), log=folder / "threads.log")
        begin_at = begin_when_ready(folder, ("load", "threads"), gevent.sleep)
        control = _start("ticker", str(folder / "control.json"), str(plan.seconds), log=folder / "control.log")
        try:
            faults.run(begin_at)
            patience = plan.seconds + plan.max_block + plan.delivery_timeout + 2 * plan.dealing_time + END_SECONDS
            ended = _await(load, begin_at + patience - monotonic())
            threads_ended = _await(threads, begin_at + patience - monotonic())
            _await(control, END_SECONDS)
        finally:
            for process in (load, threads, control):
                if process.poll() is None:
                    process.kill()
        self._cluster.wait_until_ready()
        self._cluster.wait_until_in_sync()
        found = read_logs(self._cluster.bootstrap_servers, names)
        entries = list(read_journal(folder / "journal.jsonl"))
        summary = _read_json(folder / "summary.json")
        noise = _read_json(folder / "control.json")
        of_threads = _read_json(folder / SUMMARY)
        slack = Slack(LATE_SECONDS, summary["waits"] if summary else ())
        violations, counts = check(entries, found, _promises(plan, faults.whole_since), slack)
        violations += _bounds(plan, summary, ended)
        violations += _bounds_of_threads(of_threads, threads_ended)
        slack = Slack(LATE_SECONDS, sorted([*slack.waits, *of_threads.get("waits", ())]))
        of_transactions, outcomes = self._check_transactions(plan, folder, slack)
        violations += of_transactions
        counts = {**counts, **{f"transactions {outcome}": count for outcome, count in outcomes.items()}}
        names_broken = {violation.name for violation in violations}
        places = {(each.topic, each.partition) for each in found if each.name in names_broken}
        headers = {place: read_headers(self._cluster, *place) for place in places}
        if violations:
            for node_id in self._cluster.broker_ids:
                (folder / f"broker-{node_id}.log").write_text(self._cluster.log(node_id))
        with self._cluster.admin() as admin:
            admin.delete_topics([*names, *(topic.name for topic in plan.txn_topics)])
        return Outcome(plan, violations, counts, summary, noise, faults.notes, entries, found, headers, folder)

    def _check_transactions(self, plan: Plan, folder: Path, slack: Slack) -> tuple[list[Violation], dict[str, int]]:
        servers, names = self._cluster.bootstrap_servers, [topic.name for topic in plan.txn_topics]
        held = held_up(servers, names, plan.dealing_time)  # what was given up without an answer the coordinator ends at its timeout
        dealings = [*read_ledger(folder / "ledger.jsonl"), *read_ledger(folder / LEDGER)]
        return check_transactions(dealings, read_committed(servers, names), held, plan.pool["checkout_timeout_ms"] / 1000, slack)


def _promises(plan: Plan, whole_since: Mapping[str, float]) -> dict[str, Promise]:
    promises = {}
    for topic in plan.topics:
        options = plan.producers[topic.producer]
        promises[topic.name] = Promise(
            options["acks"],
            options["enable_idempotence"],
            plan.max_block,
            whole_since.get(topic.name, 0.0),
        )
    return promises


def _bounds(plan: Plan, summary: Mapping[str, Any], ended: str) -> list[Violation]:
    """What must hold of the load as a whole."""
    if not summary:
        return [Violation("the load did not end by itself", None, ended)]
    limit = plan.client["max_buffered_bytes"]
    allowed = 2.5 * limit + OWN_BYTES
    gaps = summary["ticker"]
    held = gaps["computed_p999"] > RARE_COMPUTED_MS or gaps["computed_max"] > WORST_COMPUTED_MS or gaps["held_max"] > WORST_HELD_MS
    for_so_long = (
        f"computed {gaps['computed_p999']} ms or more one time in a thousand, {gaps['computed_max']} ms once; "
        f"held for {gaps['held_max']} ms once"
    )
    checks = (
        (not summary["stuck"], "a worker is stuck", summary["stuck"]),
        (not summary["broken"], "a greenlet of the load failed", summary["broken"]),
        (not summary["open_transactions"], "transactions are left open", summary["open_transactions"]),
        (not summary["fenced"], "the pool is fenced", summary["fenced"]),
        (not summary["undelivered"], "records were left at stop", summary["undelivered"]),
        (not summary["left_in_buffer"], "bytes stay accounted for", summary["left_in_buffer"]),
        (summary["max_buffered_bytes"] <= limit, "max_buffered_bytes exceeded", f"{summary['max_buffered_bytes']} of {limit}"),
        (summary["resident_growth"] <= allowed, "memory grew", f"{summary['resident_growth']} bytes, {allowed:.0f} are allowed"),
        (not held, "the hub was held", for_so_long),
    )
    return [Violation(kind, None, str(detail)) for holds, kind, detail in checks if not holds]


def _bounds_of_threads(summary: Mapping[str, Any], ended: str) -> list[Violation]:
    """What must hold of the process of owners in threads."""
    if not summary:
        return [Violation("the owners in threads did not end by themselves", None, ended)]
    kinds = {
        "stuck": "an owner is stuck",
        "broken": "a thread of an owner failed",
        "open_transactions": "transactions are left open",
        "fenced": "the pool is fenced",
    }
    return [Violation(kind, None, f"of threads: {summary[name]}") for name, kind in kinds.items() if summary[name]]


def _start(module: str, *arguments: str, log: Path) -> Any:
    command = [sys.executable, "-m", f"tests.chaos.{module}", *arguments]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=importing_tests())


def _await(process: Any, timeout: float) -> str:
    """How the process ended. One that hangs is made to write its stacks into its log, and killed."""
    try:
        return f"exit status {process.wait(max(timeout, 1.0))}"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGUSR1)
        gevent.sleep(1.0)
        process.kill()
        return "it hung; its stacks are in its log"


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return content
