"""`Coordinator`: the broker that looks after one transactional id, as far as it is known.

Any broker tells which one it is. Once found it is a broker like all others, with its connection, kept while a
pool uses it; where it no longer is, its answers say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife.protocol.apis.add_partitions_to_txn import AddPartitionsToTxnRequest
from klife.protocol.apis.describe_transactions import DescribeTransactionsRequest
from klife.protocol.apis.find_coordinator import TRANSACTION, FindCoordinatorRequest, FindCoordinatorResponse

if TYPE_CHECKING:
    from klife.actors.metadata.metadata import Metadata
    from klife.actors.network.broker import Broker
    from klife.actors.network.call import Call
    from klife.actors.settings import ProducerSettings

_LOOK_AGAIN = 0.1  # seconds
_LISTS_FROM = 4  # the version of FindCoordinator
_VERIFIES_FROM = 4  # the version of AddPartitionsToTxn by which leaders ask whether a transaction is open (KIP-890)


class Coordinator:
    """Where requests for `transactional_id` go."""

    def __init__(
        self, transactional_id: str, metadata: Metadata, settings: ProducerSettings, broker_of: Callable[[int], Broker]
    ) -> None:
        self.transactional_id = transactional_id
        self.node_id: int | None = None  # not known (any more)
        self._metadata = metadata
        self._settings = settings
        self._broker_of = broker_of

    def find(self, on_done: Callable[[Call], None]) -> Call | float:
        """Ask who it is: the call, or when to try again (monotonic seconds)."""
        broker = self._metadata.any_ready_broker(api_key=FindCoordinatorRequest.API_KEY)
        if broker is None:
            self._metadata.request_refresh()  # which connects to somebody
            return monotonic() + _LOOK_AGAIN
        key = self.transactional_id
        lists = broker.connection.ranges.get(FindCoordinatorRequest.API_KEY, (0, 0))[1] >= _LISTS_FROM
        request = FindCoordinatorRequest(key="" if lists else key, key_type=TRANSACTION, coordinator_keys=[key] if lists else [])
        return self._call(broker, request, on_done)

    def found(self, response: FindCoordinatorResponse) -> int:
        """Take the answer; returns its error code."""
        told: Any = response.coordinators[0] if response.coordinators else response
        if not told.error_code:
            broker = self._metadata.broker(told.node_id)
            if broker.host is None:  # the snapshot does not list it yet
                broker.set_address(told.host, told.port)
            self.node_id = told.node_id
        return int(told.error_code)

    def ask(
        self,
        request: Any,
        on_done: Callable[[Call], None],
        wake: Callable[[], None],
        *,
        min_version: int = 0,
        max_version: int | None = None,
    ) -> Call | float:
        """Ask the coordinator, which is known: the call, or when to look again. `wake` is called when it can
        be asked.
        """
        assert self.node_id is not None
        broker = self._broker_of(self.node_id)
        if not broker.is_ready:
            broker.when_ready(wake)
            if broker.last_error is not None:  # it may be another by now
                self.node_id = None
            return monotonic() + _LOOK_AGAIN
        return self._call(broker, request, on_done, min_version=min_version, max_version=max_version)

    @property
    def takes_late_records(self) -> bool:
        """Whether it is known, and of a Kafka before 3.6, whose leaders write whatever has the current epoch."""
        ranges = self._ranges
        return bool(ranges) and ranges.get(AddPartitionsToTxnRequest.API_KEY, (0, 0))[1] < _VERIFIES_FROM

    @property
    def describes(self) -> bool:
        """Whether it tells who has an id; Kafka before 3.0 does not."""
        return DescribeTransactionsRequest.API_KEY in self._ranges

    @property
    def _ranges(self) -> Mapping[int, tuple[int, int]]:
        """What it can be asked now."""
        broker = self._broker_of(self.node_id) if self.node_id is not None else None
        return broker.connection.ranges if broker is not None and broker.is_ready else {}

    def lost(self) -> None:
        """It may be another."""
        self.node_id = None

    def _call(self, broker: Broker, request: Any, on_done: Callable[[Call], None], **versions: Any) -> Call:
        settings = self._settings
        return broker.call(request, on_done, timeout=settings.request_timeout, client_id=settings.client_id, **versions)
