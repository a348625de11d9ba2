"""Owners without a hub: a client that runs in a thread of its own, and transactions in the main thread, where
signal handlers raise, and in other threads (`python -m tests.chaos.threads`).

A process beside the load, with a pool of the same settings and ids of its own. Its actors are killed at the same
moments, and whatever strikes brokers and connections strikes it, too.
"""

from __future__ import annotations

import faulthandler
import json
import signal
import sys
import threading
import time
from pathlib import Path
from time import monotonic
from typing import Any

from klife import Client
from tests.chaos.bodies import InMainThread, InThreads
from tests.chaos.ledger import Ledger
from tests.chaos.load import GRACE_SECONDS, READY_SECONDS, below, kill_actors, log_to, when_all_ended
from tests.chaos.owners import FORK_SHARE, Owner
from tests.chaos.plan import Plan, plan_for
from tests.chaos.start import wait_at_line
from tests.chaos.ticker import Ticker

FIRST_OWNER = 100
"""Its number; those of the load begin at 0."""

LEDGER, SUMMARY, EVENTS = "ledger-threads.jsonl", "summary-threads.json", "events-threads.jsonl"


class Threads:
    """One run's client, and the owners of its transactions."""

    def __init__(self, plan: Plan, bootstrap_servers: str, folder: Path, forks: float) -> None:
        self._plan = plan
        self._forks = forks
        self._folder = folder
        self._ledger = Ledger(folder / LEDGER)
        self._client = Client.start(bootstrap_servers, name=f"chaos-{plan.seed}-threads", **plan.thread_client)
        self._killed: list[str] = []
        self._broken: list[str] = []
        self._ended = False

    def run(self) -> None:
        """Have transactions from the run's beginning on, and write the summary."""
        plan, client, forks = self._plan, self._client, self._forks
        client.wait_ready(READY_SECONDS)
        begin_at = wait_at_line(self._folder, "threads", time.sleep)
        end = begin_at + plan.seconds
        ticker = Ticker()
        owners = [
            self._start(lambda index=index: Owner(plan, index, client, self._ledger, InThreads(), forks).run(end))
            for index in range(FIRST_OWNER + 1, FIRST_OWNER + 1 + plan.thread_owners)
        ]
        ticking = self._start(lambda: self._tick(ticker))
        killing = self._start(lambda: kill_actors(client, plan, begin_at, self._killed, time.sleep))
        Owner(plan, FIRST_OWNER, client, self._ledger, InMainThread(), forks).run(end)
        deadline = monotonic() + plan.max_block + plan.delivery_timeout + 2 * plan.dealing_time
        for thread in (*owners, killing):
            thread.join(max(deadline - monotonic(), 0.0))
        stuck = [thread.name for thread in owners if thread.is_alive()]
        status = when_all_ended(self._client, self._plan, time.sleep)
        restarts = sum(node.restarts for node in below(client.tree()))
        client.stop(GRACE_SECONDS)
        self._ended = True
        ticking.join(GRACE_SECONDS)
        self._ledger.close()
        (pool,) = status.txn_pools
        summary = {
            "stuck": stuck,
            "broken": self._broken,
            "waits": ticker.waits,
            "killed": self._killed,
            "restarts": restarts,
            "open_transactions": pool.open + pool.waiting,
            "fenced": pool.fenced,
        }
        (self._folder / SUMMARY).write_text(json.dumps(summary, indent=1))

    def _start(self, work: Any) -> threading.Thread:
        def do() -> None:
            try:
                work()
            except BaseException as error:
                self._broken.append(repr(error))

        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        return thread

    def _tick(self, ticker: Ticker) -> None:
        while not self._ended:
            ticker.run(monotonic() + 1.0)


def main(seed: str, minutes: str, bootstrap_servers: str, folder: str, forks: str = str(FORK_SHARE)) -> None:
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    log_to(Path(folder) / EVENTS)
    Threads(plan_for(int(seed), float(minutes)), bootstrap_servers, Path(folder), float(forks)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
