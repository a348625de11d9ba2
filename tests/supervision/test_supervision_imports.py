"""What importing the library does to a process, and that it works with gevent's patching or without."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
{patching}
import gevent, threading, time
from gevent import monkey
import klife_supervision
from klife_supervision import ChildSpec, Supervisor

assert not any(name.partition(".")[0] in ("klife", "pykka") for name in sys.modules), "imports what it must not know"
assert monkey.is_module_patched("threading") is {patched}

import structlog
structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
import pykka

class Actor(pykka.ThreadingActor):
    use_daemon_thread = True

    def on_receive(self, message):
        raise ValueError(message)

import logging
logging.disable()
again = gevent.event.Event()

def start():
    started.append(Actor.start())
    if len(started) == 2:
        again.set()
    return started[-1]

started = []
sleeper = ChildSpec.from_callable(time.sleep, id="sleeper", args=({nap},), restart="temporary")
supervisor = Supervisor.start([sleeper, ChildSpec(id="actor", start=start)])
started[0].tell("boom")
assert again.wait(10)

threads = [threading.Thread(target=lambda: supervisor.terminate_child("actor")), threading.Thread(target=supervisor.stop)]
for thread in threads:
    thread.start()
assert supervisor.wait(10) is not None
for thread in threads:
    thread.join()
assert monkey.is_module_patched("threading") is {patched}
print(supervisor.exit_reason)
"""


@pytest.mark.parametrize(
    ("patching", "patched", "nap"),
    [("", False, 0), ("from gevent import monkey; monkey.patch_all()", True, 60)],
    ids=["unpatched", "patched"],
)
def test_it_works_with_gevents_patching_or_without_and_never_patches(patching: str, patched: bool, nap: int) -> None:
    program = PROGRAM.format(patching=patching, patched=patched, nap=nap)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "shutdown\n", done.stderr
