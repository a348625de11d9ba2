"""`python -m bench.imports`: what importing klife costs, in processor time and memory, for the table in
docs/performance.md.

Each row is a program of its own, run in turn with the others, bare Python among them: what this machine does
to one it does to all. A program says itself what it has used when all is imported; medians count. "Over" is
beyond the row that the row is compared with.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from statistics import median
from typing import NamedTuple

_WORKER = "from gevent import monkey; monkey.patch_all(); import flask, gevent.pywsgi; app = flask.Flask('app'); import gevent; "
_STARTED = "import klife; client = klife.Client.start('{address}'); gevent.sleep(0.05); "
_LOGGED = "from klife_supervision import logs; logs.get_logger('bench').warning('a warning'); assert logs.flush(10)"
_SAY = """
import time
used = time.process_time()
with open("/proc/self/status") as status:
    kib = next(line.split()[1] for line in status if line.startswith("VmRSS"))
print(used, kib)
import os; os._exit(0)  # what it takes to end is not what is asked for
"""


class Program(NamedTuple):
    source: str
    beyond: str  # the program that it is compared with


PROGRAMS = {
    "bare Python": Program("", "bare Python"),
    "import gevent": Program("import gevent", "bare Python"),
    "import klife; klife.Client": Program("import klife; klife.Client", "bare Python"),
    "a worker: flask and gevent": Program(_WORKER, "bare Python"),
    "a worker with a client": Program(_WORKER + _STARTED, "a worker: flask and gevent"),
    "the same that has logged a warning": Program(_WORKER + _STARTED + _LOGGED, "a worker: flask and gevent"),
}


def used(source: str, address: str) -> tuple[float, float]:
    """Milliseconds of processor time and MiB of resident memory. At `address` somebody listens, and says
    nothing.
    """
    command = [sys.executable, "-c", source.format(address=address) + _SAY]
    # What is installed has its bytecode; a checkout has it where nothing forbids Python to write it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60, env=environment)
    seconds, kib = done.stdout.splitlines()[-1].split()
    return float(seconds) * 1000, int(kib) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    listener = socket.create_server(("127.0.0.1", 0), backlog=len(PROGRAMS) * (rounds + 1))
    address = "{}:{}".format(*listener.getsockname())
    for program in PROGRAMS.values():
        used(program.source, address)  # has Python write the bytecode, and the system read the files
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            samples[name].append(used(program.source, address))
    medians = {name: tuple(map(median, zip(*found, strict=True))) for name, found in samples.items()}
    print("| | ms | MiB | over | ms | MiB |\n|---|---:|---:|---|---:|---:|")
    for name, (milliseconds, mebibytes) in medians.items():
        beyond = PROGRAMS[name].beyond
        ms_over, mib_over = milliseconds - medians[beyond][0], mebibytes - medians[beyond][1]
        print(f"| {name} | {milliseconds:.0f} | {mebibytes:.1f} | {beyond} | {ms_over:.0f} | {mib_over:.1f} |")


if __name__ == "__main__":
    main()
