"""`python -m bench.scale`: what is there costs, apart from what is done: an idle client that knows 10 000
partitions, memory for each partition, and for each record that waits. On librdkafka's mock; the figures are
in docs/performance.md.

The client is idle for 20 s and refreshes its metadata every 5 s; `python -m bench.scale 600` measures ten
minutes at the default of 5.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import tracemalloc

import gevent

import klife
from bench.mock_cluster import MockCluster
from bench.steps import a_topic
from klife import Client, Record

TOPICS = [f"known-{number}" for number in range(2_500)]
PARTITIONS = 4  # of each: what the mock gives to topics that it makes by itself
RECORDS = 200_000
VALUE = 100
_OF_A_MEASUREMENT = 4  # arguments


def memory_of_records() -> float:
    """Bytes for each record that waits, beyond its value."""
    _, topic = a_topic()
    tracemalloc.start()
    for _ in range(RECORDS):
        topic.append(Record("orders", bytes(VALUE)))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return taken / RECORDS - VALUE


def measure(servers: str, refresh_ms: int, idle_s: float) -> None:
    print(f"waiting records of {VALUE} bytes: {memory_of_records():.0f} bytes beyond their values each", flush=True)
    tracemalloc.start()
    with Client.start(servers, topics=[{"name": name} for name in TOPICS], metadata_max_age_ms=refresh_ms) as client:
        for name in TOPICS:
            client.partitions(name)
        known = len(TOPICS) * PARTITIONS
        gc.collect()
        print(f"known partitions: {known}, {tracemalloc.get_traced_memory()[0] / known:.0f} bytes each", flush=True)
        before = tracemalloc.get_traced_memory()[0]
        for delivery in [client.produce(Record(name, b"v", partition=partition)) for name in TOPICS for partition in range(PARTITIONS)]:
            delivery.get()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
        print(f"produced to: {taken / known:.0f} bytes more for each partition", flush=True)
        tracemalloc.stop()
        gevent.sleep(2)
        cpu, began = time.process_time(), time.perf_counter()
        gevent.sleep(idle_s)
        busy = 100 * (time.process_time() - cpu) / (time.perf_counter() - began)
        print(f"idle for {idle_s:g} s, metadata refreshed every {refresh_ms / 1000:g} s: {busy:.3f} % of a core", flush=True)


def main() -> None:
    if len(sys.argv) == _OF_A_MEASUREMENT:
        measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
        return
    how = ["300000", sys.argv[1]] if len(sys.argv) > 1 else ["5000", "20"]
    with MockCluster(["one"], 30, TOPICS) as mock:
        for pure in "01":
            print("pure" if pure == "1" or not klife.compiled else "compiled", flush=True)
            environment = {**os.environ, "KLIFE_PURE": pure}
            subprocess.run([sys.executable, "-m", "bench.scale", mock.bootstrap_servers, *how], env=environment, check=True)


if __name__ == "__main__":
    main()
