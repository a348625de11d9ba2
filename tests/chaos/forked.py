"""A fork inside the block of a transaction: the child is refused whatever it tries, and the parent goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic

from klife import Client, TransactionMisused
from klife.api.transaction import Transaction
from klife.record import Record

_FINE, _NOT_REFUSED = 0, 100
_LOOK_SECONDS = 0.01


def child_is_refused(client: Client, transaction: Transaction, record: Record, sleep: Callable[[float], None], patience: float) -> str:
    """Fork, and try everything in the child. What it found wrong, or ""."""
    child = os.fork()
    if not child:
        status = _NOT_REFUSED
        try:
            status = _try_all(client, transaction, record)
        finally:
            os._exit(status)
    deadline = monotonic() + patience
    while monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return "" if code == _FINE else f"a forked child was not refused: {code}"
        sleep(_LOOK_SECONDS)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return f"a forked child was not refused within {patience:g} s"


def _try_all(client: Client, transaction: Transaction, record: Record) -> int:
    tries: tuple[Callable[[], object], ...] = (
        lambda: client.produce(record),
        lambda: client.produce_batch([record]),
        lambda: transaction.produce(record),
        transaction.abort,
        lambda: transaction.__exit__(None, None, None),
    )
    for number, attempt in enumerate(tries):
        try:
            attempt()
        except TransactionMisused:
            continue
        return _NOT_REFUSED + 1 + number
    return _FINE
