"""The compiled core: the modules that run for each record or request, and whether they run compiled.

Cython compiles them from the same sources, where a C compiler is at hand when klife is installed (`setup.py`); most have a `.pxd`
beside them, which declares their classes and variables to the compiler and says nothing new. Where there is no compiler, the sources
run as they are, and do the same. All of the group are compiled or none, because compiled
classes know each other's fields: so if one is missing, or KLIFE_PURE=1 is in the environment, the sources are taken even where
compiled modules lie beside them.

No program crashes the interpreter, whatever it does with a compiled class. The compiler sees to most of that, by the directives in
`setup.py`: a method looks at its `self` (`binding` is off), and a typed field or argument may be None, as all fields are after a bare
`__new__`, so each access looks (`nonecheck`). The rest is for authors:

- A function that believes a pointer or a length is `cdef`: only C may call it. What it writes is held against the size of the buffer
  that was made (`record_write`): a value may be another when it is looked at again.
- A chain of objects that the garbage collector does not look at is freed one by one (`klife/record.pxd`), and what goes along it asks
  whether there is stack left (`Record.__hash__`).
- A `noexcept` function does nothing that may raise; nobody would hear of it.
- Methods that users may replace are in modules of `PATCHABLE`, and call each other by `self`.
- A class that users see says how it is pickled (`__reduce__`), or why it is not. Errors come back as they stood, whatever their
  constructors take (`KlifeError.__reduce__`).

`tests/test_abuse.py` and `tests/test_copies.py` walk all classes, so a new one is tested by being there.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from typing import Any

MODULES = (
    "klife.record",
    "klife.protocol.records",
    "klife.protocol.record_write",
    "klife.protocol.produce_wire",
    "klife.protocol.connection",
    "klife.protocol.framing",
    "klife.protocol.headers",
    "klife.actors.network.broker",
    "klife.actors.network.connection_actor",
    "klife.actors.runtime.forked",
    "klife.actors.runtime.inbox",
    "klife.actors.runtime.latch",
    "klife.actors.producer.producer",
    "klife.actors.producer.batch",
    "klife.actors.producer.batcher_actor",
    "klife.actors.producer.buffer_pool",
    "klife.actors.producer.callbacks",
    "klife.actors.producer.delivery",
    "klife.actors.producer.deadlines",
    "klife.actors.producer.hub_watch",
    "klife.actors.producer.identity",
    "klife.actors.producer.known_log",
    "klife.actors.producer.batcher",
    "klife.actors.producer.murmur2",
    "klife.actors.producer.partition",
    "klife.actors.producer.request",
    "klife.actors.producer.route",
    "klife.actors.producer.routing",
    "klife.actors.producer.terms",
    "klife.api.handle",
    "klife.api.client",
    "klife.api.append",
)
UNTRACKED = ("klife.record", "klife.actors.producer.delivery")
"""The modules of the group whose classes the garbage collector does not look at."""
PATCHABLE = ("klife.record", "klife.actors.producer.delivery", "klife.api.client")
"""The modules of the group whose classes take new attributes, as classes of Python do: those that users replace methods of."""

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class _Sources:
    """Finds the modules of the group as sources, before Python's own finder sees what was compiled."""

    @staticmethod
    def find_spec(name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        return spec_from_file_location(name, _file_of(name) + ".py") if name in MODULES else None


def is_compiled(file: str) -> bool:
    """Whether a module whose `__file__` this is runs compiled."""
    return file.endswith(tuple(EXTENSION_SUFFIXES))


def choose() -> bool:
    """Settle, once and before any of the group is imported, what is imported; return whether that is the compiled modules."""
    built = [any(os.path.exists(_file_of(name) + suffix) for suffix in EXTENSION_SUFFIXES) for name in MODULES]
    wanted = os.environ.get("KLIFE_PURE", "") in ("", "0")
    if wanted and all(built):
        return True
    if any(built):
        sys.meta_path.insert(0, _Sources)  # a class of static methods is as good as an instance
    return False


def _file_of(name: str) -> str:
    return os.path.join(_ROOT, *name.split("."))
