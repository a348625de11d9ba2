"""structlog, imported when the first event is written: it takes a tenth of a second and some MiB, which most
processes never need.

The import would hold a hub for that long. So the greenlet that writes has it done in a thread of the hub's
pool (`load_beside`), and other greenlets run meanwhile. A thread without a hub does it itself (`load`). One
at a time does.

- A fork in the middle would leave the child with modules that are half there, and whose locks nobody
  releases. So a fork waits for the import, which is soon over. uWSGI's master forks in C, and tells nobody:
  it imports where it is, before it serves anybody.
- Python may run a destructor or a signal handler in the middle, in the same thread, and that may tell an
  event. `load` says then that structlog can not be had now, and the event waits in the queue.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import Any

from gevent.monkey import get_original

_USED = ("get_config", "is_configured", "wrap_logger")
_PATIENCE = 2.0  # seconds to wait for an import in another thread

_structlog: Any = None
_importing = False
# Of the system, patched or not. Reentrant, so that what runs in the middle of an import finds out, and does
# not wait for itself.
_lock: Any = get_original("_thread", "RLock")()
_thread_ident: Any = get_original("_thread", "get_ident")
_held_by_forks: dict[int, bool] = {}


def loaded() -> Any:
    """structlog, if it has been imported, by whomever; None if it has not, or not wholly. What is not loaded
    is not configured.
    """
    global _structlog
    if _structlog is None:
        module = sys.modules.get("structlog")
        if all(hasattr(module, name) for name in _USED):
            _structlog = module
    return _structlog


def load() -> bool:
    """Import structlog in this thread, if nobody has. False if it can not be had now; an installation without
    it is no such case.
    """
    global _importing
    if loaded() is not None:
        return True
    if not _lock.acquire(timeout=_PATIENCE):
        return False
    try:
        if _importing:  # in this very thread
            return False
        _importing = True
        try:
            with contextlib.suppress(Exception):  # whoever uses it imports it again, and is told
                import_module("structlog")
        finally:
            _importing = False
    finally:
        _lock.release()
    return loaded() is not None or "structlog" not in sys.modules


def load_beside(hub: Any) -> None:
    """The same in a thread of the pool of `hub`, the calling thread's, while other greenlets run; in vain if
    no thread can be had.
    """
    if loaded() is None and not _is_uwsgi_master():
        with contextlib.suppress(Exception):  # at exit no thread can be started
            hub.threadpool.apply(load)


def _is_uwsgi_master() -> bool:
    uwsgi: Any = sys.modules.get("uwsgi")  # part of uWSGI's own program, and so there from the start
    return uwsgi is not None and uwsgi.worker_id() == 0


def _before_fork() -> None:
    _held_by_forks[_thread_ident()] = _lock.acquire(timeout=_PATIENCE)


def _after_fork() -> None:
    if _held_by_forks.pop(_thread_ident(), False):
        _lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
