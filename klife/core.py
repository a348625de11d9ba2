"""The compiled core: the modules that run for each record or request, and whether they run compiled.

They are those with a `.pxd` beside them, which declares to Cython what modules know of each other: the types
of classes' fields, and what C calls directly. All else is said in the source, in the words of
`klife/cython_shim.py`. Cython compiles them from these sources, where a C compiler is at hand when klife is
installed (`setup.py`). Where there is none, the sources run as they are, and do the same. All of the group
are compiled or none, because compiled classes know each other's fields: so if one is missing, or KLIFE_PURE=1
is in the environment, the sources are taken even where compiled modules lie beside them.

No program crashes the interpreter, whatever it does with a compiled class. The compiler sees to most of that,
by the directives in `setup.py`: a method looks at its `self` (`binding` is off), and a typed field or
argument may be None, as all fields are after a bare `__new__`, so each access looks (`nonecheck`). The rest
is for authors:

- A function that believes a pointer or a length is a `cfunc`: only C may call it. What it writes is held
  against the size of the buffer that was made (`record_write`): a value may be another when it is looked at
  again.
- A chain of objects that the garbage collector does not look at is freed one by one (`klife/freeing.pxd`),
  and what goes along it asks whether there is stack left (`Record.__hash__`).
- A call that C takes over (`klife/making.pxd`) is left to Python where anything about it is unusual, so its errors
  are Python's.
- A function that cannot tell of an exception (`exceptval(check=False)`) does nothing that may raise one.
- A module with methods that users may replace begins with CYTHON_USE_TYPE_SPECS, which makes its classes take
  new attributes as Python's own do; such methods call each other by `self`.
- A class that users see says how it is pickled (`__reduce__`), or why it is not. Errors come back as they
  stood, whatever their constructors take (`KlifeError.__reduce__`).

`tests/test_abuse.py` and `tests/test_copies.py` walk all classes, so a new one is tested by being there.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from typing import Any, Literal, NamedTuple

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(_HERE)


def _declared() -> tuple[str, ...]:
    """The names of the modules that have a `.pxd` beside them."""
    found = []
    for folder, folders, files in os.walk(_HERE):
        folders[:] = [name for name in folders if not name.startswith("_")]
        names = {name for name in files if name.endswith(".pxd") and f"{name[:-4]}.py" in files}
        package = os.path.relpath(folder, _ROOT).replace(os.sep, ".")
        found += [f"{package}.{name[:-4]}" for name in names]
    return tuple(sorted(found))


def _file_of(name: str) -> str:
    return os.path.join(_ROOT, *name.split("."))


MODULES = _declared()
"""The modules of the group."""


class _Sources:
    """Finds the modules of the group as sources, before Python's own finder sees what was compiled."""

    @staticmethod
    def find_spec(name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        return spec_from_file_location(name, _file_of(name) + ".py") if name in MODULES else None


_wanted = os.environ.get("KLIFE_PURE", "") in ("", "0")
_built = [any(os.path.exists(_file_of(name) + suffix) for suffix in EXTENSION_SUFFIXES) for name in MODULES]


def choose() -> bool:
    """Settle, once and before any of the group is imported, what is imported; return whether that is the
    compiled modules.
    """
    if _wanted and all(_built):
        return True
    if any(_built):
        sys.meta_path.insert(0, _Sources)  # a class of static methods is as good as an instance
    return False


class Pure(NamedTuple):
    """That klife runs without its compiled core: why, and whose wish that is, if it is somebody's."""

    why: str
    wanted_by: Literal["whoever runs it", "whoever installed it", ""]


def pure() -> Pure | None:
    """None where the compiled core is in use."""
    if not _wanted:
        return Pure("KLIFE_PURE is set", "whoever runs it")
    if all(_built):
        return None
    if any(name.startswith("klife_pure-") for name in os.listdir(_ROOT)):
        return Pure("klife-pure was installed", "whoever installed it")
    return Pure("a part of it is missing" if any(_built) else "it was not compiled when klife was installed", "")
