"""Agreeing on versions: the highest one that client and broker both have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from klife.protocol.api_keys import api_name
from klife.protocol.apis.api_versions import ApiVersionsResponse
from klife.protocol.errors import UnsupportedVersion
from klife.protocol.message import Request

OLDEST_KAFKA = "2.4"
"""The oldest broker whose versions the declarations cover."""


def ranges_from(response: ApiVersionsResponse) -> dict[int, tuple[int, int]]:
    """What a broker serves: API key to (lowest, highest version)."""
    return {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}


class Features(NamedTuple):
    """What a cluster has settled for all its brokers (KIP-584): the level in force of each feature that has
    one, and the epoch in which a broker knew that. The higher epoch is the later one; -1 is none.
    """

    epoch: int = -1
    levels: Mapping[str, int] = {}


def features_from(response: ApiVersionsResponse) -> Features:
    """The features that a broker told of. One that does not know them (yet) tells of none."""
    return Features(
        response.finalized_features_epoch, {feature.name: feature.max_version_level for feature in response.finalized_features}
    )


def negotiate(
    request: type[Request[Any]], ranges: Mapping[int, tuple[int, int]], *, min_version: int = 0, max_version: int | None = None
) -> int:
    """The highest version of `request` that the broker also serves, at least `min_version` and at most
    `max_version`.

    Raises:
        UnsupportedVersion: there is none; the text names both ranges.
    """
    lowest = max(request.MIN_VERSION, min_version)
    highest = request.MAX_VERSION if max_version is None else min(request.MAX_VERSION, max_version)
    name = api_name(request.API_KEY)
    served = ranges.get(request.API_KEY)
    if served is None:
        raise UnsupportedVersion(
            f"the broker does not serve {name} (API key {request.API_KEY}) on this listener; klife needs one of its versions "
            f"{lowest} to {highest}. Is this a client listener of a broker of Kafka {OLDEST_KAFKA} or later?"
        )
    version = min(highest, served[1])
    if version < max(lowest, served[0]):
        if served[1] < request.MIN_VERSION:
            advice = f"upgrade the brokers to Kafka {OLDEST_KAFKA} or later"
        elif served[1] < lowest:
            advice = "the brokers of the cluster are of different releases; upgrade this one as well"
        else:
            advice = "upgrade klife"
        raise UnsupportedVersion(
            f"no common version of {name}: klife has {lowest} to {highest}, the broker serves {served[0]} to {served[1]}; {advice}"
        )
    return version
