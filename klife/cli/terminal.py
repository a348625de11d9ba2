"""What the commands share towards a terminal: where things are printed, how an error looks, what Ctrl-C does.

Results go to standard output, progress and errors to standard error. A user's mistake is one line, never a traceback; a traceback
means a bug in klife.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Annotated, NoReturn

import gevent
import typer
from gevent import getcurrent
from rich.console import Console

from klife.api.client import Client
from klife.api.config import ClientConfig
from klife.cli.logs import errors_only
from klife.errors import ConfigError, KlifeError, NotReady

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

CONNECT_TIMEOUT_SECONDS = 10.0
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended: 128 and the number of the signal, as shells count."""

Bootstrap = Annotated[
    str,
    typer.Option(
        "--bootstrap", envvar="KLIFE_BOOTSTRAP_SERVERS", metavar="HOST:PORT,...", help="Brokers to ask for the cluster; one is enough."
    ),
]
DEFAULT_BOOTSTRAP = "localhost:9092"


def fail(message: str) -> NoReturn:
    """End the command with exit code 1 and one line on standard error."""
    err.print(f"klife: {message}", markup=False, style="red")
    raise typer.Exit(1)


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """In this block an error the user can do something about ends the command with a line."""
    try:
        yield
    except ConfigError as error:
        fail("; ".join(error.problems))
    except (KlifeError, OSError) as error:
        fail("\n".join([str(error), *getattr(error, "__notes__", ())]))


@contextlib.contextmanager
def ctrl_c_here() -> Iterator[None]:
    """In this block Ctrl-C (and SIGTERM) raise KeyboardInterrupt in the greenlet that entered it.

    Python itself would raise it in whichever greenlet runs when the signal comes, which may be one that serves a connection.
    """
    here = getcurrent()
    watchers = [gevent.signal_handler(number, gevent.kill, here, KeyboardInterrupt) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for watcher in watchers:
            watcher.cancel()


def checked_servers(bootstrap: str) -> str:
    """The addresses as they were given. ConfigError, naming the wrong one, when they are not host:port."""
    return ",".join(ClientConfig.build(bootstrap).bootstrap_servers)


def wait_ready(client: Client) -> None:
    """Wait until the cluster has answered. NotReady, in one line, when it has not within CONNECT_TIMEOUT_SECONDS."""
    try:
        with errors_only():
            client.wait_ready(CONNECT_TIMEOUT_SECONDS)
    except NotReady:
        troubles = "; ".join(f"{broker.address}: {broker.last_error or broker.state}" for broker in client.status().brokers)
        raise NotReady(f"the cluster did not answer within {CONNECT_TIMEOUT_SECONDS:g} s ({troubles})") from None
