"""How an address is reached: what its name stands for, and a connection to the first of that which takes one.

A client goes through a name's addresses in turn, because one that works is all it needs. The doctor tries all
at once, and tells of those that do not work.
"""

from __future__ import annotations

import os
from typing import Any

import gevent
from gevent import socket

from klife.actors.network.addresses import Address, interleaved
from klife.actors.network.look_up import looked_up
from klife.actors.settings import ConnectionSettings
from klife.api.doctor import advice
from klife.api.doctor.advice import StepFailed
from klife.host_name import why_no_host

_MOST_ADDRESSES = 16  # of one name
_SILENT = "does not answer"


def look_up(host: str, port: int, patience: float) -> list[Address]:
    """The addresses of `host`, looked up within `patience` seconds.

    Raises:
        StepFailed: there are none.
    """
    why = f"was not looked up within {patience:g} s"
    if (impossible := why_no_host(host)) is not None:
        raise StepFailed("resolve", f"the name {host!r} leads nowhere: {impossible}", advice.NAME)
    try:
        if (answers := looked_up(host, port, patience)) is not None:
            return interleaved([(*found[:3], found[4]) for found in answers])
    except OSError as error:
        why = f"leads nowhere: {getattr(error, 'strerror', None) or error}"
    raise StepFailed("resolve", f"the name {host!r} {why}", advice.NAME)


def connect(addresses: list[Address], settings: ConnectionSettings, patience: float) -> tuple[Any, Address, list[str]]:
    """A socket to the first address that takes a connection, that address, and what happened at those that do
    not.

    Raises:
        StepFailed: none does.
    """
    tried = addresses[:_MOST_ADDRESSES]
    attempts = [gevent.spawn(_outcome, address, settings, patience) for address in tried]
    taken: Any = None
    try:
        gevent.joinall(attempts)
        outcomes = [attempt.value for attempt in attempts]
        taken = next((outcome for outcome in outcomes if not isinstance(outcome, str)), None)
    finally:
        for attempt in attempts:
            attempt.kill(block=False)
            if attempt.value is not None and not isinstance(attempt.value, str) and attempt.value is not taken:
                attempt.value.close()
    refused = [f"{text_of(address)} {why}" for address, why in zip(tried, outcomes, strict=True) if isinstance(why, str)]
    if taken is None:
        silent = all(text.endswith(_SILENT) for text in refused)
        raise StepFailed("connect", "; ".join(refused), advice.SILENT if silent else advice.REFUSED)
    return taken, tried[outcomes.index(taken)], refused


def open_socket(address: Address, settings: ConnectionSettings, patience: float) -> Any:
    """A connected socket.

    Raises:
        OSError: there is none.
    """
    family, kind, protocol, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        for level, option, value in settings.socket_options:
            sock.setsockopt(level, option, value)
        with gevent.Timeout(patience, TimeoutError("no connection")):
            sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def text_of(address: Address) -> str:
    """The IP address."""
    return str(address[3][0])


def _outcome(address: Address, settings: ConnectionSettings, patience: float) -> Any:
    """A connected socket, or why there is none."""
    try:
        return open_socket(address, settings, patience)
    except TimeoutError:
        return f"within {patience:g} s {_SILENT}"
    except Exception as error:  # noqa: BLE001 - a socket option that can not be: no connection either
        code = getattr(error, "errno", None)
        return f"does not take a connection: {os.strerror(code) if code else error}"
