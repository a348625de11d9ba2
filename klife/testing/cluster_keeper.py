"""The keeper: a small process that owns a cluster's brokers and its folder, and takes both away when its
owner is gone.

Cleaning up from the test process alone cannot work: after a SIGKILL none of its code runs. So the brokers are
children of this script, which ends them, and removes the folder, as soon as one of these is true:

- the owner closed its end of the control socket, which the kernel does for every way a process can end;
- the owner is no longer this process's parent. A forked child of the owner holds a copy of the socket, so
  end-of-file alone may never come;
- SIGTERM.

Being the brokers' parent has a second use: a pid cannot be reused before its parent has reaped it, so a
signal never hits a stranger.

Run as `python -I -S cluster_keeper.py FOLDER OWNER_PID`, with the control socket as standard input. It is a
script on the standard library alone: it must start in milliseconds, and must see neither the owner's monkey
patches nor its environment. Requests and replies are JSON, one a line; `klife.testing.cluster_processes` is
the other side.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from typing import Any

PARENT_CHECK_SECONDS = 0.25
PR_SET_PDEATHSIG = 1  # prctl(2)


class Keeper:
    """Executes one request at a time. `children` are by name; `held` are the sockets that reserve ports."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.held: list[socket.socket] = []

    def handle(self, request: dict[str, Any]) -> object:
        match request["do"]:
            case "reserve":
                return self.reserve(request["ports"])
            case "spawn":
                return self.spawn(request["name"], request["argv"], request["log"])
            case "signal":
                child = self.children[request["name"]]
                child.send_signal(request["signal"])  # does nothing to a child that has already been reaped
                return child.poll()
            case "status":
                return self.children[request["name"]].poll()
            case other:
                raise ValueError(f"unknown request {other!r}")

    def reserve(self, ports: list[int]) -> list[int]:
        """Ports of 127.0.0.1 (0: any), kept for the brokers to bind as often as they restart.

        Linux lets a second socket with SO_REUSEADDR bind, and listen on, a port that is bound but not
        listened on, and a JVM sets that option. So the port stays ours while a broker is dead: no other bind
        and no outgoing connection is given it. Elsewhere it is merely free now.
        """
        numbers = []
        for port in ports:
            holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.held.append(holder)
            try:
                holder.bind(("127.0.0.1", port))
            except (OSError, OverflowError) as error:
                why = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
                raise ValueError(f"port {port} of 127.0.0.1 cannot be had: {why}") from error
            numbers.append(holder.getsockname()[1])
        if sys.platform != "linux":
            self.release()
        return numbers

    def release(self) -> None:
        for holder in self.held:
            holder.close()
        self.held.clear()

    def spawn(self, name: str, argv: list[str], log: str) -> int:
        with open(log, "ab") as output:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder, preexec_fn=die_with_the_keeper
            )
        self.children[name] = child
        return child.pid

    def clean_up(self) -> None:
        for child in self.children.values():
            child.kill()
        for child in self.children.values():
            child.wait()
        self.release()
        os.chdir("/")
        shutil.rmtree(self.folder, ignore_errors=True)


def die_with_the_keeper() -> None:
    """Let the kernel kill the child if the keeper itself is killed.

    Linux only, as prctl is; elsewhere the owner's end still cleans up.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(keeper: Keeper, control: socket.socket, owner: int) -> None:
    """Answer requests until the owner is gone or closes the socket."""
    buffer = b""
    while os.getppid() == owner:
        if not select.select([control], [], [], PARENT_CHECK_SECONDS)[0]:
            continue
        received = control.recv(65536)
        if not received:
            return
        buffer += received
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            request = json.loads(line)
            try:
                reply = {"id": request["id"], "result": keeper.handle(request)}
            except Exception as error:  # noqa: BLE001 - it must not end the brokers
                reply = {"id": request["id"], "error": str(error)}
            control.sendall(json.dumps(reply).encode() + b"\n")


def main() -> None:
    owner = int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the owner's to answer
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit())
    os.set_blocking(0, True)  # a gevent-patched owner makes non-blocking sockets, and the flag travels with the descriptor
    keeper = Keeper(sys.argv[1])
    try:
        serve(keeper, socket.socket(fileno=0), owner)
    except (ConnectionError, BrokenPipeError):
        return  # the owner went away in the middle of a reply: the same as end-of-file
    finally:
        keeper.clean_up()


if __name__ == "__main__":
    main()
