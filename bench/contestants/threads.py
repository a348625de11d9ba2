"""Worker threads, for the clients that are used from threads."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from bench.meter import Meter


def run_workers(meter: Meter, worker: Callable[[int], None], count: int) -> None:
    """Run `worker(number)` in `count` threads while the meter takes its snapshots, and wait for them."""

    def guarded(number: int) -> None:
        try:
            worker(number)
        except Exception as error:
            meter.fail(repr(error))

    threads = [Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    meter.take()
    for thread in threads:
        thread.join()
