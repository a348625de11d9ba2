"""Whether this process was forked from another one, however that happened.

Python runs `os.register_at_fork`'s functions only when Python forks. uWSGI forks in C, and so may any
library. A child that does not know itself for one would send its records on the parent's connections, under
the parent's producer id and sequence numbers: the broker takes them for the parent's, and drops them. So
klife asks, wherever something could be taken, numbered, read or written.

What answers is a page of memory that the kernel fills with zeros in every child (MADV_WIPEONFORK, Linux
4.14). Where there is none the process id is compared, and only forks that Python announces are noticed by
whoever looks at the page alone.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from contextlib import suppress
from os import getpid
from typing import Any

from klife import cython_shim as cython

if cython.compiled:
    import cython

_WIPE_ON_FORK = 18  # MADV_WIPEONFORK, which the mmap module does not name

_in_child: list[Callable[[], object]] = []


def is_forked() -> bool:
    """Whether this process was forked and has not taken note of it yet."""
    return not _page[0] or (not _is_wiped and getpid() != _pid)


def take_note() -> None:
    """If this process was forked since the last call: do what is to be done in a child, once. Cheap where
    nothing was.
    """
    if is_forked():
        _mark()
        for function in _in_child:
            function()


def call_in_child(function: Callable[[], object]) -> None:
    """Have `take_note` call `function` in each child. It must not wait, take a lock, or log."""
    _in_child.append(function)


def _mark() -> None:
    """From now on this process is its own."""
    global _pid
    _pid = getpid()
    _page[0] = 1


def _wiped_page() -> mmap.mmap | None:
    """A page that reads 0 in a forked child, or None where the system has none."""
    if sys.platform != "linux":
        return None
    found = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        found.madvise(_WIPE_ON_FORK)
    except OSError:  # an older kernel
        return None
    return found


_wiped = _wiped_page()
_is_wiped = cython.declare(cython.bint, _wiped is not None)
page: memoryview[int] = memoryview(_wiped or bytearray(1))
"""Its first byte is 0 in a forked child that has not taken note of it: for those to whom a call of
`is_forked` is too much.
"""
_page = cython.declare("unsigned char[::1]", page)


class _FirstByte:
    """What ctypes' number does, where Python was built without it."""

    def __bool__(self) -> bool:
        return page[0] != 0


first_byte: Any = _FirstByte()
"""Its truth is that of the page's first byte, which in Python is quicker to tell than the byte itself."""
if not cython.compiled:
    with suppress(ImportError):
        from ctypes import c_ubyte

        first_byte = c_ubyte.from_buffer(page)

_pid = cython.declare(object, 0)
_mark()
