"""The clients under test, a module each.

A contestant's module has `DISTRIBUTIONS` (the packages whose versions matter), perhaps `also()` (what else
has a version), `SETTINGS` (what it is configured with, beyond the bootstrap servers), `DRIVEN` (how its
workers call it, in words) and `run(job) -> Sample`. It is imported in the measurement's own process only, so
no contestant's import or event loop touches another's. What it can do is in `scenarios.py`, which only asks
for that.

All but `confluent-defaults`, and `klife-linger` which waits as long, run with equal semantics: acks all,
idempotent, one request in flight per broker, linger 0, batches of up to 512 000 bytes, 32 MiB of buffer. A
record that fails ends the measurement with an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol, cast

from bench.meter import Sample
from bench.workload import Job


class Contestant(Protocol):
    DISTRIBUTIONS: tuple[str, ...]
    SETTINGS: Mapping[str, object]
    DRIVEN: str

    def run(self, job: Job) -> Sample: ...


@dataclass(frozen=True)
class Entry:
    """A contestant's module, and what its process has in its environment."""

    module: str
    environment: Mapping[str, str] = field(default_factory=dict)


ENTRIES = {
    "klife": Entry("klife"),
    "klife-pure": Entry("klife", {"KLIFE_PURE": "1"}),
    "klife-threads": Entry("klife_threads"),
    "klife-prometheus": Entry("klife_prometheus"),
    "klife-linger": Entry("klife_linger"),
    "confluent-kafka": Entry("confluent"),
    "confluent-gevent": Entry("confluent_gevent"),
    "confluent-defaults": Entry("confluent_defaults"),
    "aiokafka": Entry("aiokafka"),
    "kafka-python": Entry("kafka_python"),
}
NAMES = tuple(ENTRIES)
OURS = tuple(name for name in NAMES if name.startswith("klife"))
GENERAL = tuple(name for name in NAMES if name not in ("klife-threads", "klife-prometheus", "klife-linger"))
"""Those that take part where nothing else is said."""


def of(name: str) -> str:
    """Whose name that is: `klife@a1b2c3d` is klife, of that commit."""
    return name.partition("@")[0]


def entry(name: str) -> Entry:
    return ENTRIES[of(name)]


def load(name: str) -> Contestant:
    """Import the contestant's module. Raises ImportError where its package is not installed."""
    return cast(Contestant, import_module(f"bench.contestants.{entry(name).module}"))
