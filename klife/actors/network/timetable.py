"""What a connection is kept to by the clock: what is overdue, whether it lies idle, when to look again.

Questions about a `Broker` and its `Session` that change neither; the connection's actor asks them.
"""

from __future__ import annotations

from klife.actors.network.broker import Broker
from klife.actors.network.session import Session
from klife.actors.settings import NEVER
from klife.protocol.api_keys import api_name
from klife.protocol.connection import State
from klife.words import with_article


def overdue(broker: Broker, session: Session, now: float) -> str | None:
    """What should have come by now, in words; None if nothing is late."""
    if now >= session.deadline:
        return session.too_late()
    for call in broker.calls:
        if call.deadline <= now:
            return f"{with_article(api_name(call.request.API_KEY))} request was not answered in time"
    return None


def is_idle(broker: Broker, now: float) -> bool:
    """Whether nobody has used the connection for `max_idle`, or wants to."""
    return (
        broker.connection.state is State.READY
        and now >= broker.used_at + broker.settings.max_idle
        and not broker.calls
        and not broker.waiting
    )


def next_look(broker: Broker, session: Session, now: float) -> float:
    """When the first deadline of a connection that is there passes, on the monotonic clock."""
    idle_at = broker.used_at + broker.settings.max_idle
    return min(
        session.deadline,
        session.renew_at,
        min((call.deadline for call in broker.calls), default=NEVER),
        idle_at if broker.connection.state is State.READY and idle_at > now else NEVER,
    )
