"""uWSGI: its forks and the ends of its workers, of which Python hears nothing.

It forks in C, and then calls `uwsgi.post_fork_hook`. A worker with `--gevent` ends by C's `exit`, without
what `atexit` knows, having called `uwsgi.atexit`. Each is one function: one of the user's that was there
first is called as well. One that is set later takes the place of ours. A fork is noticed all the same
(`klife.actors.runtime.forked`); at the end it is for that function to call `stop`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def call_after_fork(function: Callable[[], object]) -> None:
    """If this is uWSGI: call `function` in each process it forks, before the user's `post_fork_hook`."""
    _join("post_fork_hook", function, first=True)


def call_at_exit(function: Callable[[], object]) -> None:
    """If this is uWSGI: call `function` when this worker ends, after the user's `uwsgi.atexit`, which may
    still produce.
    """
    _join("atexit", function, first=False)


class _Both:
    """Our function and the user's, in the place that is for one."""

    def __init__(self, ours: Callable[[], object], theirs: Callable[[], object] | None, first: bool) -> None:
        self.ours = ours
        self._functions = [ours] if theirs is None else [ours, theirs] if first else [theirs, ours]

    def __call__(self) -> None:
        try:
            self._functions[0]()
        finally:
            for function in self._functions[1:]:
                function()


def _join(name: str, function: Callable[[], object], *, first: bool) -> None:
    uwsgi = sys.modules.get("uwsgi")  # part of uWSGI's own program, and so there from the start
    if uwsgi is None:
        return
    there = getattr(uwsgi, name, None)
    if not (isinstance(there, _Both) and there.ours is function):
        setattr(uwsgi, name, _Both(function, there, first))
