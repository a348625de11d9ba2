"""For tests that talk to a real Kafka.

    from klife.testing import all_produced, setup        # what reached the brokers
    from klife.testing.cluster import KafkaCluster       # brokers to reach

With pytest there are fixtures, too: `kafka_cluster` and `klife_client` (see `klife.testing.pytest_plugin`).

The names are loaded when first used (PEP 562): pytest imports this package at its start, in every suite of an
environment that has klife installed, and must not import gevent with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from klife.testing.helpers import NotSetUp, all_produced, setup

__all__ = ["NotSetUp", "all_produced", "setup"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'klife.testing' has no attribute {name!r}")
    value = getattr(import_module("klife.testing.helpers"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
