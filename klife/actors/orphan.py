"""What becomes of a client's state when its home is gone: the thread ended, or its hub was destroyed.

Its greenlets will never run again. So sockets are closed, and nobody is woken any more, in whatever thread notices; the engine then
settles what is left. The name comes free, and the next use of the client starts one in its place, as in a forked child
(`lifecycle.find`).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from klife.actors.channel import BrokerChannel
from klife.actors.producer.accumulator import Accumulator
from klife.actors.runtime.actor import forget_actors
from klife.protocol.connection import State
from klife_supervision.loop import forget_supervisors
from klife_supervision.registry import release


def close_orphans(channels: Iterable[BrokerChannel], accumulators: Iterable[Accumulator]) -> None:
    """Close the sockets, and let no actor be woken."""
    for channel in channels:
        _close(channel)
    for accumulator in accumulators:
        _forget_actors_and_callbacks(accumulator)


def forget_tree(hub: Any, supervisor: Any) -> None:
    """The supervision tree that ran in `hub`, under `supervisor`, is nowhere to be found any more."""
    if supervisor is not None and supervisor.name is not None:
        release(supervisor.name, supervisor)
    forget_supervisors(hub)
    forget_actors(hub)


def _close(channel: BrokerChannel) -> None:
    channel.inbox = None
    channel.host = None
    channel.waiting.clear()
    channel.calls.clear()
    sock, channel.sock = channel.sock, None
    with suppress(ValueError):  # its watchers' loop was destroyed
        channel.detach()
    if channel.connection.state is not State.DISCONNECTED:
        channel.connection.closed()
    if sock is not None:
        sock.close()


def _forget_actors_and_callbacks(accumulator: Accumulator) -> None:
    accumulator.inbox = None
    with suppress(ValueError):
        accumulator.clock.stop()
    for lane in accumulator.routing.lanes.values():
        lane.inbox = None
    for batch in accumulator.clock.pending:  # what would call them is gone; that the records are not delivered is in the log
        (batch.root or batch).callbacks = None
