"""`python -m bench.steps`: what each step of a record's way costs, compiled and pure, for the table in
docs/speed-notes.md.

Each step is run some hundred times over in a loop, and the fastest loop counts: what the machine does besides
only ever adds. Nothing is sent; sockets, greenlets and the garbage of a real load come on top, and are what
`python -m bench` measures.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from struct import pack
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from gevent import get_hub

import klife
from klife import Delivery, Murmur2Partitioner, Record
from klife.actors.metadata.snapshot import TopicInfo
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.identity import Identity
from klife.actors.producer.producer import Producer
from klife.actors.producer.topic import Topic
from klife.api.config import ProducerConfig
from klife.api.settings import producer_settings
from klife.protocol.produce_wire import BatchesRequest, BatchesResponse
from klife.protocol.records import RECORD_OVERHEAD, encode_payload, encode_plain
from klife.protocol.written_partitions import WrittenPartitions

PARTITIONS = 30
MANY = range(500)
FEW = range(15)
LOOPS = 300
SMALL, LARGE, KEY, NOW = bytes(100), bytes(1000), bytes(50), 1_700_000_000_000
BOUND = RECORD_OVERHEAD + len(KEY) + len(LARGE)


def best(step: Callable[[], object], times: int) -> float:
    """Nanoseconds of one of the `times` things that `step` does, in the fastest of its runs."""
    fastest = float("inf")
    for _ in range(LOOPS):
        began = perf_counter()
        step()
        fastest = min(fastest, perf_counter() - began)
    return fastest / times * 1e9


def a_topic() -> tuple[Producer, Topic]:
    """A topic, and its producer, whose brokers are never reached, and whose records fit."""
    broker = SimpleNamespace(is_ready=True, last_error=None)
    producer = Producer(
        producer_settings(ProducerConfig(name="p", client_id="c")),
        BufferPool(1 << 50, block=False),
        get_hub(),
        1.0,
        lambda _node: broker,
        lambda *_: None,
    )
    producer.identities.found(Identity(9, 0))
    info = TopicInfo("orders", bytes(16), (1,) * PARTITIONS, (0,) * PARTITIONS)
    return producer, producer.routing.add_topic(info, Murmur2Partitioner())


def making() -> None:
    for _ in MANY:
        Record("orders", SMALL, partition=None)


def appending(topic: Topic, record: Record) -> None:
    append = topic.append
    for _ in MANY:
        append(record)
    for partition in topic.partitions:
        if partition is not None and partition.open is not None:
            partition.open.fields.clear()
            partition.open.count = 0
            partition.open.size = 0


def getting(delivery: Delivery) -> None:
    get = delivery.get
    for _ in MANY:
        get()


def going_round(producer: Producer, topic: Topic, records: list[Record]) -> None:
    """A record for each of some partitions, a batch each: opened, taken for a request, confirmed."""
    for record in records:
        topic.append(record)
    for partition, batch in producer.batchers.all[1, 0].drain(1e12, producer.identity)[0]:
        producer.settlement.delivered(partition, batch, 7, -1)


def requesting(fields: list[Any]) -> None:
    """A batch of `fields` for each of some partitions, in a request."""
    wires: Any
    if klife.compiled:
        wires = WrittenPartitions(len(FEW), len(FEW) * BOUND)
        for partition in FEW:
            wires.add(partition, fields, BOUND, 9, 0, 5, False)
        wires.end()
    else:
        wires = [(partition, encode_plain(fields, BOUND, 9, 0, 5, False)) for partition in FEW]
    BatchesRequest(-1, 15_000, [("orders", bytes(16), wires)]).encode_parts(9)


def steps() -> dict[str, float]:
    """Each step and what it costs."""
    small, large = (None, SMALL, (), NOW), (KEY, LARGE, (), NOW)
    placed = [Record("orders", LARGE, KEY, partition=partition) for partition in FEW]
    written = b"".join(pack(">ihqqqBBB", partition, 0, 7, -1, 0, 1, 0, 0) for partition in FEW)
    answer = b"\x02\x07orders" + bytes([len(FEW) + 1]) + written + b"\0" + bytes(5)
    settled = a_topic()[1].append(Record("orders", SMALL))._batch
    settled.fields.extend(small * len(MANY))
    settled.base_offset, settled.is_set = 5, True
    return {
        "a Record of 100 bytes is made": best(making, len(MANY)),
        "it is checked, gets partition and time, joins its batch; its Delivery": best(
            partial(appending, a_topic()[1], Record("orders", SMALL)), len(MANY)
        ),
        "the same with a key of 50 bytes that was seen before (murmur2)": best(
            partial(appending, a_topic()[1], Record("orders", SMALL, KEY)), len(MANY)
        ),
        "it is encoded, among 500": best(lambda: encode_payload(list(small) * 500, 500 * (RECORD_OVERHEAD + len(SMALL))), len(MANY)),
        "its result is got": best(partial(getting, Delivery(settled, 5)), len(MANY)),
        "a batch of one large record: opened, filled, taken, confirmed": best(partial(going_round, *a_topic(), placed), len(FEW)),
        "such a batch is encoded, in a request of 15": best(partial(requesting, list(large)), len(FEW)),
        "its answer is read": best(lambda: BatchesResponse.decode(answer, 9), len(FEW)),
    }


def main() -> None:
    if "KLIFE_STEPS" in os.environ:
        for name, cost in steps().items():
            print(f"{name}\t{cost:.0f}")
        return
    columns = []
    for pure in "01":
        environment = {**os.environ, "KLIFE_STEPS": "1", "KLIFE_PURE": pure}
        printed = subprocess.run(
            [sys.executable, "-m", "bench.steps"], env=environment, capture_output=True, text=True, check=True
        ).stdout
        columns.append(dict(line.split("\t") for line in printed.splitlines()))
    print(f"| step | {'compiled' if klife.compiled else 'compiled (not built: pure)'} ns | pure ns |\n|---|---:|---:|")
    for name, cost in columns[0].items():
        print(f"| {name} | {cost} | {columns[1][name]} |")


if __name__ == "__main__":
    main()
