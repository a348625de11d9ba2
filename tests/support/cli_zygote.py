"""`python -m tests.support.cli_zygote`: has imported the command line, and forks a process for each command that
comes over standard input, a socket: half a second of processor time, of which most commands take nearly all, is
taken once.

A command is JSON, with its standard input, output and error beside it. Its exit status goes back when it has ended.
"""

from __future__ import annotations

import json
import os
import socket
import sys

import klife.cli.app  # noqa: F401  by which nothing is started
from klife.cli import main

MOST_BYTES = 1 << 20


def serve(control: socket.socket) -> None:
    """Until the other end is closed. Returns in the child, too, when that is to become a command."""
    while True:
        message, files, _, _ = socket.recv_fds(control, MOST_BYTES, 3)
        if not message:
            sys.exit()
        child = os.fork()
        if child == 0:
            control.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            command = json.loads(message)
            sys.argv[1:] = command["arguments"]
            os.environ.clear()
            os.environ.update(command["environment"])
            return
        for file in files:
            os.close(file)
        _, status = os.waitpid(child, 0)
        control.send(b"%d" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve(socket.socket(fileno=os.dup(0)))
    main()
