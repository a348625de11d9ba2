"""Uses all that is compiled in every wrong way. Exceptions are right, whichever; a crash is not.

`python abuse_core.py` does it class by class, each in a forked child, and prints for each that crashed what
it was doing.
"""

from __future__ import annotations

import copy
import faulthandler
import gc
import mmap
import os
import pickle
import sys
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import product
from types import SimpleNamespace
from typing import Any

from klife.actors.runtime import latch
from klife.core import MODULES

SECONDS = 60.0  # for one class
WHAT = mmap.mmap(-1, 4096)
"""What the child is doing, where its parent sees it."""


class WouldWait(Exception):
    """What waiting does here."""


class Hub:
    """A hub, a loop or a watcher, nearly."""

    MAXPRI = 2

    def __getattr__(self, _name: str) -> Hub:
        return Hub()

    def __call__(self, *_args: Any, **_options: Any) -> Hub:
        return Hub()

    def switch(self, *_args: Any) -> None:
        raise WouldWait


class Lock:
    held = False

    def acquire(self, *_args: Any) -> None:
        if self.held:
            raise WouldWait
        self.held = True

    def release(self) -> None:
        self.held = False


class Two:
    """A number that is another each time it is looked at."""

    looked = 0

    def __int__(self) -> int:
        self.looked += 1
        return 10**15 if self.looked % 2 else 5

    def __sub__(self, _other: object) -> int:
        return int(self)


class Growing(tuple):
    """A header that is longer each time it is read."""

    reads = 0

    def __iter__(self) -> Iterator[Any]:
        Growing.reads += 1
        return iter(("h", b"x" * 100 * Growing.reads))


modules = [import_module(name) for name in MODULES]
classes = {cls: cls.__name__ for module in modules for cls in vars(module).values() if isinstance(cls, type) and type(cls) is type}
classes = {cls: name for cls, name in classes.items() if cls.__module__ in MODULES}
accepted: dict[tuple[type, str], type] = {}
"""What the typed fields take."""


def bare(cls: type) -> Any:
    try:
        return cls.__new__(cls)
    except Exception:
        return None


def fields(cls: type) -> list[str]:
    return [
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if base in classes and type(value).__name__ in ("getset_descriptor", "member_descriptor")
    ]


def learn_what_fields_take() -> None:
    candidates = [value for value in map(bare, classes) if value is not None] + [[], {}, set()]
    for value in candidates[:-3]:
        for name in fields(type(value)):
            for candidate in candidates:
                try:
                    setattr(value, name, object())
                    break  # anything goes
                except Exception:
                    pass
                try:
                    setattr(value, name, candidate)
                except Exception:
                    continue
                accepted[type(value), name] = type(candidate)
                break
            bare_again = bare(type(value))
            value = bare_again if bare_again is not None else value


def made(cls: type, depth: int) -> Any:
    """An object of which no constructor knows, whose typed fields are full of their kind, `depth` deep."""
    if cls in (list, dict, set):
        return cls()
    value = bare(cls)
    if depth:
        for name in fields(cls):
            field = accepted.get((cls, name))
            if field is not None:
                attempt("fill", setattr, value, name, made(field, depth - 1))
    return value


def attempt(what: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    WHAT[:200] = what.encode()[:200].ljust(200)
    try:
        return function(*args, **options)
    except BaseException:
        return None


def values() -> list[Any]:
    return [
        None, 5, -1, 2**70, 1.5, "t", b"x", [], (), {}, set(), object(), int, Hub(), Two(), ValueError("x"), lambda *_args: None,
        [None] * 4, [None, b"v", (), 5], [b"k", b"v", (), 2**70], [b"k", b"v" * 300, (), Two()] * 3,
        [b"k", b"v", (Growing(("h", b"")),), 5], [None, b"v" * 99, (), Two(), None, b"", (), 0], {"t": None},
        SimpleNamespace(name="t", partition_count=2, available=[5], partition=None),
    ]  # fmt: skip


def abuse(cls: type) -> None:
    name = classes[cls]
    objects = [made(other, depth) for depth in (0, 1) for other in classes]
    pool = values() + [made(other, 0) for other in classes]
    members = [(n, v) for base in cls.__mro__ if base in classes for n, v in vars(base).items() if n not in _LEFT_ALONE]
    for member, value in members:
        function = getattr(cls, member)
        if not callable(function):
            for other in (None, 5, *objects):
                attempt(f"{name}.{member} of {type(other).__name__}", getattr(value, "__get__", len), other, type(other))
            continue
        attempt(f"{name}.{member}()", function)
        for other in (None, 5, "t", int, *objects):
            attempt(f"{name}.{member} of {type(other).__name__}", function, other)
            attempt(f"{name}.{member} of {type(other).__name__}, one", function, other, None)
            attempt(f"{name}.{member} of {type(other).__name__}, named", function, other, nonsense=1)
        for depth, count, argument in product((0, 1, 2), (1, 2, 3, 4), pool):
            attempt(f"{name}.{member}, {count} x {type(argument).__name__}", function, made(cls, depth), *[argument] * count)
    for field, depth in product(fields(cls), (0, 1, 2)):
        wrong = [None, 5, "t", [None], {1: None}] + ([made(accepted[cls, field], 0)] if (cls, field) in accepted else [])
        for argument in wrong:
            value = made(cls, depth)
            attempt(f"{name}.{field} = {type(argument).__name__}", setattr, value, field, argument)
            attempt(f"del {name}.{field}", delattr, made(cls, depth), field)
            for member, _ in members:
                what = f"{name}.{member} with {field} = {type(argument).__name__}"
                function = attempt(what, getattr, value, member)
                for args in ((), (5,), (None,)):
                    attempt(what, function, *args)
    for depth, function in product((0, 1, 2), (copy.copy, copy.deepcopy, weakref.ref, vars, repr, hash, dir, iter, len, bool)):
        attempt(f"{function.__name__}({name})", function, made(cls, depth))  # type: ignore[attr-defined]
    for depth, protocol in product((0, 1, 2), range(6)):
        attempt(f"pickle {name}", pickle.dumps, made(cls, depth), protocol)
    abuse_subclass(cls, [member for member, _ in members])


def abuse_subclass(cls: type, members: list[str]) -> None:
    """One of Python: with a circle through itself, weakly known, and a destructor that keeps what it
    destructs.
    """
    kept: list[Any] = []
    body = {"__init__": lambda self, *_args: None, "__del__": lambda self: kept.append(self) if len(kept) < 9 else None}
    sub = attempt(f"class Sub({cls.__name__})", type, "Sub", (cls,), body)
    for _ in range(20 if sub is not None else 0):
        value = sub()
        attempt("circle", setattr, value, "me", value)
        known = attempt("weakref", weakref.ref, value)
        for member in members:
            function = attempt(f"Sub({cls.__name__}).{member}", getattr, value, member)
            attempt(f"Sub({cls.__name__}).{member}", function)
            attempt(f"Sub({cls.__name__}).{member}", function, value)
        del value, known
    gc.collect()
    gc.get_referrers(kept)
    kept.clear()
    gc.collect()


def abuse_functions() -> None:
    pool = values() + [made(cls, depth) for depth in (0, 1) for cls in classes]
    for module in modules:
        for name, function in list(vars(module).items()):
            if callable(function) and not isinstance(function, type) and getattr(function, "__module__", None) == module.__name__:
                attempt(f"{module.__name__}.{name}", function)
                for count, argument in product(range(1, 6), pool):
                    attempt(f"{module.__name__}.{name}, {count} x {type(argument).__name__}", function, *[argument] * count)
                for first, second, rest in product(values(), values()[:8], ((), (0,), (0, 0))):
                    attempt(f"{module.__name__}.{name}, {type(first).__name__} and more", function, first, second, *rest)


_LEFT_ALONE = {"__class__", "__new__", "__init_subclass__", "__getattribute__", "__del__", "start", "__module__", "__doc__"}


def in_a_child(work: Callable[..., None], *args: Any) -> int:
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what destructors, callbacks and greenlets complain of
        try:
            work(*args)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def main() -> None:
    gc.collect()
    latch._allocate_lock = Lock
    latch.get_hub = Hub  # type: ignore[assignment]
    learn_what_fields_take()
    for work, *args in [*((abuse, cls) for cls in classes), (abuse_functions,)]:
        if status := in_a_child(work, *args):
            print(f"status {status}: {WHAT[:200].decode().strip()}")
    print(f"{len(classes)} classes")
    sys.stdout.flush()
    os._exit(0)  # whatever was made here is not to be taken apart


if __name__ == "__main__":
    main()
