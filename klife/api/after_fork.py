"""Forks: what happens to the clients of this process in a child that is forked from it.

At the fork, inside `os.fork()`, the child lets go of what is the parent's (`klife.actors.after_fork`); where nobody tells of the
fork, as soon as anything of klife runs in the child (`klife.actors.runtime.forked`). It starts nothing: most children go on to be
another program, or never produce. The first use of a client in the child starts one in its place, with the same name and options,
and everything else new (`lifecycle.find`). With `on_fork="raise"` it raises instead.

gevent's loop and threads have to be told of a fork too. gevent's own `fork` does that; `os.fork` of an unpatched process, which
`multiprocessing` and gunicorn's master use, does not. Telling twice does no harm, so it is always done here.
"""

from __future__ import annotations

import os

import gevent

from klife.actors import engines
from klife.actors.after_fork import disown
from klife.actors.runtime.actor import disown_all
from klife.actors.runtime.forked import call_in_child, take_note
from klife.api import uwsgi
from klife_supervision.registry import release

_watching = False


def watch() -> None:
    """Have forks of this process noticed from now on. Idempotent."""
    global _watching
    if not _watching:
        _watching = True
        call_in_child(_in_child)
        os.register_at_fork(after_in_child=take_note)
        uwsgi.call_after_fork(take_note)


def _in_child() -> None:
    gevent.reinit()
    inherited = engines.inherit()
    if not inherited:
        return
    disown_all()
    for engine in inherited:
        disown(engine)
        supervisor = engine.supervisor
        if supervisor is not None and supervisor.name is not None:
            release(supervisor.name, supervisor)  # the name is for the client that is started here
