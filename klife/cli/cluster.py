"""`klife cluster up` and `klife cluster down`: a real Kafka for the afternoon.

`up` stays in the foreground, and Ctrl-C takes the cluster down; with `--detach` the same command runs in the background. Either
way the process that runs `up` owns the cluster (see `klife.testing.cluster`), so `down` has little to do: it ends that process
and waits until it is gone.

How `down` finds it: `up` writes its pid and the bootstrap servers to a state file, and holds a lock on that file as long as it
lives. The kernel gives the lock back whichever way a process ends, so a state file that is not locked is a relic, and a locked
one names the right process. Bootstrap servers go to standard output, for scripts; everything else to standard error. What else
the clients of a secure listener need is in a file of properties beside the state file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import gevent
import typer
from rich.console import Console

from klife.cli.cluster_listeners import property_files
from klife.cli.terminal import INTERRUPTED, ctrl_c_here, errors_as_lines, fail
from klife.testing.cluster import KafkaCluster
from klife.testing.cluster_external import VARIABLE
from klife.testing.cluster_spec import LISTENERS
from klife.testing.jars import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

app: typer.Typer = typer.Typer(help="A real Kafka cluster on this machine.", no_args_is_help=True)
console: Console = Console(stderr=True, highlight=False)

DOWN_TIMEOUT_SECONDS = 60
LONG_SECONDS = 3600.0
LAST_PORT = 65_535
_NAME = re.compile(r"\w[\w.-]*")
_VERSION = re.compile(r"\d+\.\d+[\w.-]*")

Name = Annotated[str, typer.Option(help="Several clusters can be up at once, each with a name of its own.")]


@app.command()
def up(
    brokers: Annotated[int, typer.Option(min=1, help="How many brokers; 3 replicate, and survive the loss of one.")] = 3,
    version: Annotated[str | None, typer.Option(help="Kafka's release or series, such as 4.3 or 3.9.", show_default="4.3")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=LAST_PORT, help="Port of the first broker; the next has the next.", show_default="free ports"),
    ] = None,
    listener: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(LISTENERS)}; give it once for each.", show_default="PLAINTEXT"),
    ] = None,
    name: Name = "default",
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
) -> None:
    """Start a cluster and print its bootstrap servers, a line for each listener that was asked for."""
    listeners = list(dict.fromkeys(listener or ["PLAINTEXT"]))
    if unknown := [each for each in listeners if each not in LISTENERS]:
        fail(f"--listener {unknown[0]!r}: there is none of this name; they are {', '.join(LISTENERS)}")
    if version is not None and not _VERSION.fullmatch(version):
        fail(f"--version {version!r} is no release of Kafka; give one such as 4.3 or 3.9.1")
    count = brokers * len({"PLAINTEXT", *listeners})
    if port is not None and port + count - 1 > LAST_PORT:
        fail(f"--port {port} with {brokers} brokers: the last would have port {port + count - 1}, and {LAST_PORT} is the highest")
    if detach:
        with errors_as_lines():
            _up_in_background(name)
    else:
        os.environ.pop(VARIABLE, None)  # it names a cluster to use; this command is asked for a new one
        with errors_as_lines():
            _up_in_foreground(KafkaCluster(brokers, version, listeners, port=port), listeners, name)


@app.command()
def down(name: Name = "default") -> None:
    """Stop the cluster that `klife cluster up` started, and remove its data."""
    with errors_as_lines():
        path = _state_path(name)
        state = _running_state(path)
        if not state:
            fail(f"no cluster named {name!r} is up" if state is None else f"the cluster {name!r} has just begun to start; try again")
        with contextlib.suppress(ProcessLookupError):
            os.kill(state["pid"], signal.SIGTERM)
        deadline = time.monotonic() + DOWN_TIMEOUT_SECONDS
        while _running_state(path) is not None:
            if time.monotonic() > deadline:
                fail(f"process {state['pid']} does not end; its cluster is gone as soon as it is killed: kill -9 {state['pid']}")
            time.sleep(0.1)
    console.print(f"the cluster {name!r} is down")


def _up_in_foreground(cluster: KafkaCluster, listeners: Sequence[str], name: str) -> None:
    path = _state_path(name)
    with ctrl_c_here(), _claimed(path, name) as state_file:
        try:
            with console.status(f"starting Kafka {cluster.version}"):
                cluster.up()
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        with contextlib.suppress(KeyboardInterrupt):
            try:
                with property_files(cluster, listeners, path) as files:
                    state = {"bootstrap_servers": [cluster.bootstrap_servers_for(each) for each in listeners], "files": files}
                    _write_state(state_file, state)
                    console.print(f"Kafka {cluster.version} is up. Ctrl-C, or {_down_command(name)}, ends it.")
                    _tell(state)
                    while True:
                        gevent.sleep(LONG_SECONDS)
            finally:
                cluster.down()


def _tell(state: dict[str, Any]) -> None:
    for listener, path in state["files"].items():
        console.print(f"{listener} needs what is in {path}:", soft_wrap=True)
        console.print("".join(f"    {line}\n" for line in Path(path).read_text().splitlines()), end="", markup=False, soft_wrap=True)
    for servers in state["bootstrap_servers"]:
        typer.echo(servers)


def _up_in_background(name: str) -> None:
    path = _state_path(name)
    if (state := _running_state(path)) is not None:
        fail(_already_up(name, state))
    log = path.with_suffix(".log")
    arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
    with log.open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "klife.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C here, or the end of this terminal, does not reach it
        )
    try:
        with console.status("starting Kafka in the background"):
            while "bootstrap_servers" not in (state := _running_state(path) or {}):
                if child.poll() is not None:
                    console.print(log.read_text().strip(), markup=False, soft_wrap=True)
                    raise typer.Exit(1)
                time.sleep(0.1)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    finally:
        log.unlink()
    console.print(f"Kafka is up. {_down_command(name)} ends it.")
    _tell(state)


def _state_path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        fail(f"--name {name!r} cannot name a file; letters, digits, '.', '_' and '-' can")
    folder = cache_folder() / "clusters"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.json"


@contextlib.contextmanager
def _claimed(path: Path, name: str) -> Iterator[IO[str]]:
    """The state file, locked for this process for the length of the block, and removed at its end."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(_already_up(name, _running_state(path) or {}))
        try:
            _write_state(file, {})
            yield file
        finally:
            path.unlink(missing_ok=True)


def _write_state(file: IO[str], state: dict[str, Any]) -> None:
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), **state}, file)
    file.flush()


def _running_state(path: Path) -> dict[str, Any] | None:
    """What the state file says, if the process that wrote it lives."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                with contextlib.suppress(json.JSONDecodeError):  # it is being written
                    state: dict[str, Any] = json.load(file)
                    return state
                return {}
    except FileNotFoundError:
        pass
    return None


def _already_up(name: str, state: dict[str, Any]) -> str:
    where = "; ".join(state.get("bootstrap_servers", ["starting"]))
    return f"a cluster named {name!r} is up already ({where}): {_down_command(name)} ends it, and another --name starts one beside it"


def _down_command(name: str) -> str:
    return "`klife cluster down`" if name == "default" else f"`klife cluster down --name {name}`"
