"""Uses the public classes in every wrong way, and prints what each attempt ended in: the class of its
exception, or nothing.

Run in both builds, the tables are the same (`test_abuse.py`).
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import sys
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gevent import get_hub

import klife
from klife import Client, Record
from klife.actors.metadata.snapshot import TopicInfo
from klife.actors.producer.batch import Batch
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.delivery import BatchDelivery, Delivery, Places
from klife.actors.producer.producer import Producer
from klife.api.config import ProducerConfig
from klife.api.settings import producer_settings
from klife.errors import ProduceError
from klife.record import Delivered, Undelivered
from klife_supervision import TreeNode

outcomes: dict[str, str | None] = {}


def attempt(what: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        value = function(*args, **options)
    except Exception as error:
        outcomes[what] = type(error).__name__
        return None
    outcomes[what] = None
    return value


def a_batch(settled: bool) -> Batch:
    """Of two records, of a producer whose brokers are never reached."""
    broker = SimpleNamespace(is_ready=True, last_error=None)
    settings = producer_settings(ProducerConfig(name="p", client_id="c"))
    producer = Producer(settings, BufferPool(1 << 20, block=False), get_hub(), 1.0, lambda _node: broker, lambda *_: None)
    topic = producer.routing.add_topic(TopicInfo("orders", bytes(16), (1,), (0,)), klife.Murmur2Partitioner())
    topic.append(Record("orders", b"v"))
    batch: Batch = topic.append(Record("orders", b"v", b"k"))._batch
    if settled:
        batch.base_offset = 7
        batch.set()
    return batch


class Odd(Record):
    """Does nothing when it is made."""

    def __init__(self) -> None:
        pass


def wrong_arguments() -> dict[str, Any]:
    return {"None": None, "text": "t", "bytes": b"x", "list": [], "minus": -1, "object": object(), "function": len, "class": int}


def abuse(name: str, cls: type, make: Callable[[], Any], leave_alone: tuple[str, ...] = ()) -> None:
    """Each public name of `cls`, by the class and by the object that `make` gives."""
    members = [member for member in dir(cls) if not member.startswith("_") and member not in leave_alone]
    for member in [*members, "__repr__", "__eq__", "__hash__", "__init__"]:
        label = f"{name}.{member}"
        function = getattr(cls, member)
        is_of_class = isinstance(vars(next(base for base in cls.__mro__ if member in vars(base)))[member], (classmethod, staticmethod))
        if callable(function) and not is_of_class and type(vars(cls).get(member)).__name__ != "classmethod_descriptor":
            attempt(f"{label}()", function)
            for what, self in {**wrong_arguments(), "other": ValueError()}.items():
                attempt(f"wrong self: {label} of {what}", function, self)
                attempt(f"wrong self: {label} of {what}, 1", function, self, None)
        if not callable(function):
            attempt(f"{label} read", getattr, make(), member)
            attempt(f"{label} bare", getattr, cls.__new__(cls), member) if not issubclass(cls, Record) else None
            continue
        if member == "__init__":
            continue
        for what, argument in wrong_arguments().items():
            attempt(f"{label}({what})", getattr(make(), member), argument)
            attempt(f"{label}({what}) x 6", getattr(make(), member), *[argument] * 6)
        attempt(f"{label}(nonsense=1)", getattr(make(), member), nonsense=1)
        attempt(f"{label} bare", getattr(cls.__new__(cls), member))
    for member in (*members, "nonsense"):
        attempt(f"{name}.{member} set", setattr, make(), member, 5)
    for function in (copy.copy, copy.deepcopy, weakref.ref, vars, repr, hash, len, iter, dir, bool):
        attempt(f"{function.__name__} {name}", function, make())  # type: ignore[attr-defined]
    for protocol in range(6):
        attempt(f"pickle {name} {protocol}", pickle.dumps, make(), protocol)
    for body in ({}, {"__init__": lambda self, *args: None}, {"__slots__": ("__weakref__",)}):
        sub = attempt(f"subclass of {name} {sorted(body)}", type, "Sub", (cls,), dict(body))
        if sub is None:
            continue
        value = attempt(f"subclass of {name} {sorted(body)} made", sub)
        for member in members if "__init__" in body and not issubclass(cls, Record) else []:
            function = attempt(f"subclass of {name}.{member}", getattr, value, member)
            if callable(function):
                attempt(f"subclass of {name}.{member}()", function)


def main() -> None:
    client = Client.start("127.0.0.1:1", name="abused", max_block_ms=20)
    pending, settled = a_batch(settled=False), a_batch(settled=True)
    error = ProduceError("no")
    places = Places(2, 0)
    places.batches[:], places.indices[1] = [settled, settled], 1
    abuse("Record", Record, lambda: Record("t", b"v"))
    abuse("Delivered", Delivered, lambda: Delivered("t", b"v", None, (), 0, 5, 7))
    abuse("Undelivered", Undelivered, lambda: Undelivered("t", b"v", None, (), 0, 5, error))
    abuse("Delivery", Delivery, lambda: Delivery(settled, 1))
    abuse("BatchDelivery", BatchDelivery, lambda: BatchDelivery(places))
    for index in (-1, 2, 2**40):
        attempt(f"result {index}", Delivery(settled, index).get)
    attempt("pending", Delivery(pending, 0).get, 0)
    attempt("pending, text", Delivery(pending, 0).get, "text")
    for what, argument in wrong_arguments().items():
        attempt(f"Record({what} x 2)", client.produce, Record(argument, argument))
        for field in ("value", "key", "headers", "partition", "timestamp_ms"):
            attempt(f"produce {field}={what}", client.produce, Record(**{"topic": "orders", "value": b"v", field: argument}))
    attempt("produce a half-made record", client.produce, Record.__new__(Record))
    attempt("produce an odd record", client.produce, Odd())
    attempt("produce_batch of half-made records", client.produce_batch, [Record.__new__(Record)])
    attempt("produce_batch of odd records", client.produce_batch, [Odd()])
    abuse("Client", Client, lambda: client, leave_alone=("start", "child_spec", "stop"))
    attempt("Client()", Client)
    attempt("Client(text)", Client, "127.0.0.1:9092")
    for public in ("Murmur2Partitioner", "Crc32Partitioner", "Phash2Partitioner", "RandomPartitioner"):
        cls = getattr(klife, public)
        abuse(public, cls, cls)
    abuse("TreeNode", TreeNode, client.tree, leave_alone=("kill",))
    abuse("ClientStatus", klife.ClientStatus, client.status)
    for what, argument in wrong_arguments().items():
        attempt(f"Client.stop({what})", client.stop, argument) if what not in ("None", "minus") else None
    attempt("stop", client.stop, 0)
    print(json.dumps({"compiled": klife.compiled, "outcomes": outcomes}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
