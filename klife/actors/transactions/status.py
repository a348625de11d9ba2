"""`TxnPoolStatus`: a pool at one moment, as `Client.status` shows it.

Every client imports this, and it nothing of transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from klife.actors.transactions.pool import Pool


@dataclass(frozen=True, slots=True)
class TxnPoolStatus:
    """A pool: its transactions by state, and how many ended how since the client's start.

    `transaction_version` is 2 where the cluster has settled KIP-890's second part, else 1.
    """

    name: str
    transaction_version: int
    open: int
    resting: int
    waiting: int
    committed: int
    aborted: int
    fenced: bool


def pool_status(pool: Pool) -> TxnPoolStatus:
    """The pool as a frozen value."""
    return TxnPoolStatus(
        name=pool.name,
        transaction_version=2 if pool.is_v2 else 1,
        open=len(pool.open) - len(pool.waiting),
        resting=pool.resting,
        waiting=len(pool.waiting),
        committed=pool.committed,
        aborted=pool.aborted,
        fenced=pool.is_fenced,
    )
