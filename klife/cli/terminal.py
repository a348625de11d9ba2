"""What the commands share towards a terminal: where things are printed, how an error looks, what Ctrl-C does.

Results go to standard output, progress and errors to standard error. A user's mistake is one line, never a traceback; a traceback
means a bug in klife.
"""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import gevent
import typer
from gevent import getcurrent
from rich.console import Console

from klife.admin import AdminClient
from klife.api.client import Client
from klife.api.config import ClientConfig
from klife.api.config.properties_file import read_properties
from klife.cli.logs import errors_only
from klife.errors import ConfigError, KlifeError, NotReady

out: Console = Console(highlight=False, soft_wrap=True)
err: Console = Console(stderr=True, highlight=False, soft_wrap=True)

CONNECT_TIMEOUT_SECONDS = 10.0
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended: 128 and the number of the signal, as shells count."""

DEFAULT_BOOTSTRAP = "localhost:9092"
_VARIABLE = "KLIFE_BOOTSTRAP_SERVERS"
_SERVERS = {"bootstrap.servers", "metadata.broker.list"}

# Read from the environment here, and not by typer: a file that was named wins over a variable.
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT,...",
        help="Brokers to ask for the cluster; one is enough.",
        show_default=f"the file's, or ${_VARIABLE}, or {DEFAULT_BOOTSTRAP}",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Kafka's properties, as Java's tools take them: brokers, TLS, SASL and what else a client is told. Other options win.",
    ),
]


def fail(message: str) -> NoReturn:
    """End the command with exit code 1 and one line on standard error."""
    err.print(f"klife: {message}", markup=False, style="red")
    raise typer.Exit(1)


def confirm(question: str, yes: bool) -> None:
    """Go on if the user says so, or has said so by --yes; else end the command."""
    if not yes and not typer.confirm(question, err=True):
        fail("nothing was done")


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


def configuration(bootstrap: str | None, file: Path | None, *, warned: list[str] | None = None, **options: Any) -> ClientConfig:
    """What the command line says, over what the file says. An option that is None was not given. What the
    file's own client would do otherwise (keys that go to other partitions) is added to `warned`.

    Raises:
        ConfigError: with one line for everything wrong.
    """
    given = {name: value for name, value in options.items() if value is not None}
    properties = {} if file is None else read_properties(file)
    if bootstrap is not None or not properties.keys() & _SERVERS:
        servers = bootstrap or os.environ.get(_VARIABLE) or DEFAULT_BOOTSTRAP
        without = ClientConfig.build(servers, **given)  # first, because what is wrong with the servers is not the file's
        if file is None:
            return without
        for name in _SERVERS:
            properties.pop(name, None)
        properties["bootstrap.servers"] = servers
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        config = ClientConfig.build(ClientConfig.from_properties(properties), **given)
    if warned is not None:
        warned += [str(warning.message) for warning in told]
    return config


def admin(config: ClientConfig) -> AdminClient:
    """An admin client of the same cluster."""
    return AdminClient(config.bootstrap_servers, timeout=CONNECT_TIMEOUT_SECONDS, tls=config.tls, sasl=config.sasl)


def wait_ready(client: Client) -> None:
    """Wait until the cluster has answered. NotReady, in one line, when it has not within CONNECT_TIMEOUT_SECONDS."""
    try:
        with errors_only():
            client.wait_ready(CONNECT_TIMEOUT_SECONDS)
    except NotReady:
        troubles = "; ".join(f"{broker.address}: {broker.last_error or broker.state}" for broker in client.status().brokers)
        raise NotReady(f"the cluster did not answer within {CONNECT_TIMEOUT_SECONDS:g} s ({troubles})") from None
