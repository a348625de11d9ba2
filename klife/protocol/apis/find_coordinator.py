"""FindCoordinator: the broker that looks after a consumer group or a transactional id. Any broker answers.

Up to version 3 a request has one key and the response one result at its top; from version 4 on there are
lists of both (KIP-699). COORDINATOR_NOT_AVAILABLE (15) while the internal topic is being made or moved: ask
again.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, int8, int16, int32, string

GROUP = 0
TRANSACTION = 1
SHARE = 2
"""Values of `key_type`; a share key (KIP-932, version 6 and later) is "groupId:topicId:partition"."""


class Coordinator(Struct):
    """The result for one key."""

    key: str = string("4+")
    node_id: int = int32("4+")
    host: str = string("4+")
    port: int = int32("4+")
    error_code: int = int16("4+")
    error_message: str | None = string("4+", nullable="4+", ignorable=True)


class FindCoordinatorResponse(Response, key=10, versions="0-6", flexible="3+"):
    """Where to go."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16("0-3")
    error_message: str | None = string("1-3", nullable="1-3", ignorable=True)
    node_id: int = int32("0-3")
    host: str = string("0-3")
    port: int = int32("0-3")
    coordinators: list[Coordinator] = array(Coordinator, "4+")


class FindCoordinatorRequest(Request[FindCoordinatorResponse], key=10, versions="0-6", flexible="3+"):
    """Asks for `key` (up to version 3) or `coordinator_keys`."""

    key: str = string("0-3")
    key_type: int = int8("1+")
    coordinator_keys: list[str] = array(string, "4+")
