"""IncrementalAlterConfigs (KIP-339): change single settings of topics and brokers, and leave the others as
they are.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, bool_, int8, int16, int32, string

SET = 0
"""`config_operation`: give the setting a value (Java's AlterConfigOp.OpType)."""

DELETE = 1
"""`config_operation`: go back to the default."""


class AlterConfigsResourceResponse(Struct):
    """What became of one resource's settings: all of them are changed, or none."""

    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+")
    resource_type: int = int8("0+")
    resource_name: str = string("0+")


class IncrementalAlterConfigsResponse(Response, key=44, versions="0-1", flexible="1+"):
    """One result for each resource."""

    throttle_time_ms: int = int32("0+")
    responses: list[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse, "0+")


class AlterableConfig(Struct):
    """One setting; `value` is None where it is deleted."""

    name: str = string("0+")
    config_operation: int = int8("0+")
    value: str | None = string("0+", nullable="0+")


class AlterConfigsResource(Struct):
    """The changes to one resource."""

    resource_type: int = int8("0+")
    resource_name: str = string("0+")
    configs: list[AlterableConfig] = array(AlterableConfig, "0+")


class IncrementalAlterConfigsRequest(Request[IncrementalAlterConfigsResponse], key=44, versions="0-1", flexible="1+"):
    """Changes to settings, resource by resource."""

    resources: list[AlterConfigsResource] = array(AlterConfigsResource, "0+")
    validate_only: bool = bool_("0+")
