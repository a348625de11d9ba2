"""`Part`: one thing that a client does with its cluster, as its engine knows it.

Producing is one (`producer/producers.py`); a pool of transactional producers, or a consumer, is another. The
engine has the hub, the metadata, the tree and the end; whatever works with them is a part, registers with
`Engine.add` before the tree is started, and keeps its state in plain values that outlive its actors.

All is called in a greenlet of the client's home thread, but for `orphan` and the `close` and `abandon` behind
it, which run in whatever thread notices that the home is gone; then nobody is to be woken, and nothing waited
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from klife.actors.metadata.user import MetadataUser
from klife_supervision import ChildSpec


class Part(MetadataUser, Protocol):
    """What each part promises."""

    def children(self) -> list[ChildSpec]:
        """Its children in the client's tree, in the order they are started: after the metadata's, and before
        the gate, so that they still run while an orderly stop flushes. Asked once, before the tree is
        started.
        """

    # being ready

    def wait_ready(self, deadline: float) -> None:
        """Wait until it can work, the cluster being known; one that connects at its first use need not wait.
        `deadline` here and below is in monotonic seconds.

        Raises:
            WaitTimeout: it can not by then. ClientClosed: it was closed meanwhile.
        """

    def troubles(self) -> list[str]:
        """Why it is not ready, as far as it knows: clauses for an error's text."""

    # the end, in this order; each may be called again

    def process_exits(self) -> None:
        """The process ends. From now on `Engine.exiting` is to be called whenever something was accepted, for
        nobody delivers it later.
        """

    def close(self, reason: str) -> None:
        """Take nothing more, and have those who wait told so; `reason` is why, as a clause. What was accepted
        is still delivered.
        """

    def skip_linger(self, by: int) -> None:
        """One more (1) or one less (-1) who waits for what was accepted: while anybody does, nothing waits
        for company. The engine sees to that for all its parts before it flushes any of them.
        """

    def flush(self, deadline: float) -> int:
        """Wait for what was accepted before; return how many records are left."""

    @property
    def calls_back_here(self) -> bool:
        """Whether the calling greenlet is one that runs a callback of it, and must not wait for its own end."""

    def wait_for_callbacks(self, deadline: float) -> bool:
        """Wait for the callbacks of what is done by now, and of nothing later; return whether they are
        through.
        """

    def abandon(self, why: str, *, lets_hub_run: bool = False) -> int:
        """Settle all that is left as failed, or possibly persisted: nobody works for it any more. Return how
        many records that was. With `lets_hub_run` the caller may wait, and others run meanwhile.
        """

    @property
    def longest_wait(self) -> float:
        """Within so many seconds all that was accepted has an outcome, if the part can have its way: what a
        flush waits by default.
        """

    # letting go without an end

    def orphan(self) -> None:
        """The home is gone: its greenlets never run again. Let go of the actors, and of what is to be called."""

    def disown(self, why: str) -> None:
        """In a forked child: all this is the parent's, which goes on with it. Forget it. Called inside
        `fork`: takes no lock, waits for nothing, logs nothing, wakes nobody.
        """

    # the books, since the client's start

    def status(self) -> Mapping[str, Any]:
        """Its share of `ClientStatus`: fields of that by name, each a value that is safe to keep."""

    @property
    def delivered(self) -> int:
        """Records that the brokers have confirmed."""

    @property
    def failed(self) -> int:
        """Records that failed, or whose fate is unknown; those it was made to `abandon` are among them, and
        those that its users dropped are not.
        """

    @property
    def unsettled(self) -> int:
        """Records without an outcome."""

    @property
    def oldest_unsettled(self) -> float | None:
        """When the oldest of them was produced, in monotonic seconds. From any thread."""

    @property
    def has_something_to_end(self) -> bool:
        """Whether there is something besides records that a flush ends, now that the client or the process
        does.
        """
