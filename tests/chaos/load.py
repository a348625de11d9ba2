"""The load: a client under the plan's workers, with its actors killed under it (`python -m
tests.chaos.load`).

A process of its own. It makes the plan from the seed, begins when it is told (`start`), writes the journal and the
client's log events, and a summary of what is to be bounded: buffered bytes, resident memory, the hub's gaps.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import random
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import structlog

import klife
from klife.api.client import Client
from klife.errors import FlushTimeout
from klife_supervision import TreeNode
from tests.chaos.bodies import InThreads
from tests.chaos.journal import Journal
from tests.chaos.ledger import Ledger
from tests.chaos.owners import Owner
from tests.chaos.plan import Plan, plan_for
from tests.chaos.start import wait_at_line
from tests.chaos.ticker import Ticker
from tests.chaos.workers import Worker

READY_SECONDS = 30.0
LOOK_SECONDS = 0.05
GRACE_SECONDS = 10.0
OWNERS_PER_THREAD = 4  # one of so many owners has its transactions in threads beside the hub


class Load:
    """One run's client and everything that bears on it in its own process."""

    def __init__(self, plan: Plan, bootstrap_servers: str, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._journal = Journal(folder / "journal.jsonl")
        self._ledger = Ledger(folder / "ledger.jsonl")
        self._client = Client.start(bootstrap_servers, name=f"chaos-{plan.seed}", **plan.client)
        self._killed: list[str] = []
        self._max_buffered = 0
        self._max_resident = 0

    def run(self) -> None:
        plan, client = self._plan, self._client
        client.wait_ready(READY_SECONDS)
        begin_at = wait_at_line(self._folder, "load", gevent.sleep)
        end = begin_at + plan.seconds
        resident = resident_bytes()
        ticker, later = Ticker(), Ticker()
        turns = count(1)
        workers = [gevent.spawn(Worker(plan, index, client, self._journal, turns).run, end) for index in range(plan.workers)]
        in_threads = range(0, plan.owners, OWNERS_PER_THREAD)
        in_greenlets = [index for index in range(plan.owners) if index not in in_threads]
        workers += [gevent.spawn(Owner(plan, index, client, self._ledger).run, end) for index in in_greenlets]
        workers += [
            gevent.spawn(self._in_thread, Owner(plan, index, client, self._ledger, InThreads()).run, end) for index in in_threads
        ]
        killing = gevent.spawn(kill_actors, client, plan, begin_at, self._killed, gevent.sleep)
        others = [gevent.spawn(ticker.run, end), gevent.spawn(self._look, end), killing]
        ticking_on = gevent.spawn_later(max(end - monotonic(), 0.0), later.run, float("inf"))  # for records that are settled later
        # A worker may be in a call when the time is up, and then wait for its delivery.
        gevent.joinall([*workers, *others], timeout=plan.seconds + plan.max_block + plan.delivery_timeout + plan.dealing_time)
        stuck = [repr(greenlet) for greenlet in workers if not greenlet.dead]
        broken = [repr(greenlet.exception) for greenlet in (*workers, *others) if greenlet.exception is not None]
        try:
            client.flush(plan.delivery_timeout + GRACE_SECONDS)
        except FlushTimeout as error:
            broken.append(f"the client's last flush: {error}")
        gevent.sleep(0.1)  # callbacks are done when flush returns; greenlets that wait for deliveries run now
        status = when_all_ended(self._client, self._plan, gevent.sleep)
        restarts = sum(node.restarts for node in below(client.tree()))
        report = client.stop(GRACE_SECONDS)
        gevent.sleep(0.1)
        ticking_on.kill()
        self._journal.close()
        self._ledger.close()
        (pool,) = status.txn_pools
        summary = {
            "compiled": klife.compiled,
            "outcomes": self._journal.outcomes,
            "stuck": stuck,
            "broken": broken,
            "ticker": ticker.summary(),
            "waits": ticker.waits + later.waits,
            "max_buffered_bytes": self._max_buffered,
            "left_in_buffer": status.buffered_bytes,
            "resident_growth": self._max_resident - resident,
            "max_resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "killed": self._killed,
            "restarts": restarts,
            "retries": sum(producer.retries for producer in status.producers),
            "requests": sum(producer.requests for producer in status.producers),
            "connects": sum(broker.connects for broker in status.brokers),
            "undelivered": report.undelivered,
            "open_transactions": pool.open + pool.waiting,
            "fenced": pool.fenced,
        }
        (self._folder / "summary.json").write_text(json.dumps(summary, indent=1))

    def _look(self, until: float) -> None:
        while monotonic() < until:
            self._max_buffered = max(self._max_buffered, self._client.status().buffered_bytes)
            self._max_resident = max(self._max_resident, resident_bytes())
            gevent.sleep(LOOK_SECONDS)

    @staticmethod
    def _in_thread(work: Callable[[float], None], until: float) -> None:
        """Do `work` in a thread of the system, beside the hub."""
        errors: list[BaseException] = []

        def do() -> None:
            try:
                work(until)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        while thread.is_alive():
            gevent.sleep(LOOK_SECONDS)
        if errors:
            raise errors[0]


def kill_actors(client: Client, plan: Plan, begin_at: float, killed: list[str], sleep: Callable[[float], None]) -> None:
    """Kill nodes of the client's supervision tree when the plan says; note which in `killed`."""
    faults = sorted((fault for track in plan.faults for fault in track if fault.kind == "kill actor"), key=lambda f: f.at)
    for fault in faults:
        sleep(max(begin_at + fault.at - monotonic(), 0.0))
        nodes = list(below(client.tree()))
        # Kinds first: there are more batchers than all others together.
        rng = random.Random(fault.target)
        kind = rng.choice(sorted({kind_of(node) for node in nodes}))
        victim = rng.choice([node for node in nodes if kind_of(node) == kind])
        victim.kill()
        killed.append(f"{monotonic():.3f} {victim.id}")


def when_all_ended(client: Client, plan: Plan, sleep: Callable[[float], None]) -> Any:
    """The status once no transaction is open; those whose owners are gone may take a little longer."""
    deadline = monotonic() + plan.dealing_time
    while True:
        status = client.status()
        if not any(pool.open or pool.waiting for pool in status.txn_pools) or monotonic() > deadline:
            return status
        sleep(LOOK_SECONDS)


def below(node: TreeNode) -> Iterator[TreeNode]:
    """All nodes under `node`, the root not among them: its end is the client's."""
    for child in node.children:
        yield child
        yield from below(child)


def kind_of(node: TreeNode) -> str:
    """`broker 1` and `broker 2` are of a kind, and so are the others."""
    return str(node.id).split()[0] + (" tree" if node.kind == "supervisor" else "")


def resident_bytes() -> int:
    """This process's resident memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def log_to(path: Path) -> None:
    """Write the client's events there."""

    def stamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"at": round(monotonic(), 3), **event}

    structlog.configure(
        processors=[stamp, structlog.processors.add_log_level, structlog.processors.JSONRenderer(default=str)],
        logger_factory=structlog.PrintLoggerFactory(path.open("w", buffering=1)),
        cache_logger_on_first_use=False,
    )


def main(seed: str, minutes: str, bootstrap_servers: str, folder: str) -> None:
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    log_to(Path(folder) / "events.jsonl")
    gc.freeze()  # Python's full collections go through all that was imported, for some 30 ms: nothing that the client does to the hub
    Load(plan_for(int(seed), float(minutes)), bootstrap_servers, Path(folder)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
