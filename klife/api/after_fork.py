"""Forks: what happens to the clients of this process in a child that is forked from it.

At the fork, inside `os.fork()`, the child lets go of what is the parent's, which goes on as if nothing had
happened; where nobody tells of the fork, as soon as anything of klife runs in the child
(`klife.actors.runtime.forked`). It starts nothing: most children go on to be another program, or never
produce. The first use of a client in the child starts one in its place, with the same name and options, and
everything else new (`lifecycle.find`). With `on_fork="raise"` it raises instead.

What letting go means:

- The sockets are closed, by `close` alone: a `shutdown`, or a byte, would reach the broker on the parent's
  connection.
- Each part of a client forgets what it holds (`Part.disown`): of producers these are the records and their
  callbacks.
- The actors do nothing any more. gevent copies greenlets into the child. They stay where they wait, and are
  not killed: a kill would unwind them, and their supervisors would start them again. They only still end when
  a supervisor tells them to.

A user's greenlet that waits for something of klife is not woken either. What it would do next, answer a
request for instance, the parent does; done by its copy as well, on the same socket, it would be done twice.

All this happens inside `fork`, in the one thread that the child has, whatever the others were doing. So it
assigns and clears, takes no lock, waits for nothing, and logs nothing.

gevent's loop and threads have to be told of a fork too. gevent's own `fork` does that; `os.fork` of an
unpatched process, which `multiprocessing` and gunicorn's master use, does not. Telling twice does no harm, so
it is always done here.
"""

from __future__ import annotations

import os

import gevent

from klife.actors import engines
from klife.actors.engine import Engine
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
        _disown(engine)
        supervisor = engine.supervisor
        if supervisor is not None and supervisor.name is not None:
            release(supervisor.name, supervisor)  # the name is for the client that is started here


def _disown(engine: Engine) -> None:
    """`engine` is the parent's."""
    engine.inherited = True
    engine.closing = "it was started in the process this one was forked from" + (
        "" if engine.settings.restart_after_fork else ', and its on_fork is "raise"'
    )
    engine.finished.is_set = True  # and nobody is woken
    for broker in engine.metadata.brokers.values():
        broker.disown()
    for part in engine.parts:
        part.disown(engine.closing)
