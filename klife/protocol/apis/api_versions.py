"""ApiVersions: which APIs, in which versions, the broker on this connection serves. The first request on
every connection.

A broker that does not know the version asked answers UNSUPPORTED_VERSION (35) in the layout of version 0,
whatever was asked, and names in `api_keys` the versions it has (KIP-511). The response's header is always the
oldest one, without tags, so that a client can read it before it knows anything.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, bool_, int16, int32, int64, string


class ApiVersion(Struct):
    """An API the broker serves."""

    api_key: int = int16("0+")
    min_version: int = int16("0+")
    max_version: int = int16("0+")


class SupportedFeatureKey(Struct):
    """A cluster feature this broker could take part in. Versions below 4 leave out those with `min_version` 0
    (KAFKA-17011).
    """

    name: str = string("3+")
    min_version: int = int16("3+")
    max_version: int = int16("3+")


class FinalizedFeatureKey(Struct):
    """A cluster feature in force, such as transaction.version (KIP-584)."""

    name: str = string("3+")
    max_version_level: int = int16("3+")
    min_version_level: int = int16("3+")


class ApiVersionsResponse(Response, key=18, versions="0-4", flexible="3+"):
    """The broker's side of every version negotiation."""

    error_code: int = int16("0+")
    api_keys: list[ApiVersion] = array(ApiVersion, "0+")
    throttle_time_ms: int = int32("1+", ignorable=True)
    supported_features: list[SupportedFeatureKey] = array(SupportedFeatureKey, "3+", tag=0, ignorable=True)
    finalized_features_epoch: int = int64("3+", tag=1, default=-1, ignorable=True)  # -1: unknown
    finalized_features: list[FinalizedFeatureKey] = array(FinalizedFeatureKey, "3+", tag=2, ignorable=True)
    zk_migration_ready: bool = bool_("3+", tag=3, ignorable=True)


class ApiVersionsRequest(Request[ApiVersionsResponse], key=18, versions="0-4", flexible="3+"):
    """Asks, and says which client software is asking: the broker shows it in its metrics and refuses odd
    characters (KIP-511).
    """

    client_software_name: str = string("3+", ignorable=True)
    client_software_version: str = string("3+", ignorable=True)
