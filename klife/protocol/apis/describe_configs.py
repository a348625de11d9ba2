"""DescribeConfigs: the settings of topics and brokers. Used to name the limit a record was too large for."""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, bool_, int8, int16, int32, string

TOPIC_RESOURCE = 2
"""`resource_type` of a topic (Java's ConfigResource.Type)."""


class DescribeConfigsResource(Struct):
    """Whose settings are asked for."""

    resource_type: int = int8("0+")
    resource_name: str = string("0+")
    configuration_keys: list[str] | None = array(string, "0+", nullable="0+")


class DescribeConfigsSynonym(Struct):
    """Where else the setting is set, in the order of precedence."""

    name: str = string("1+")
    value: str | None = string("1+", nullable="0+")
    source: int = int8("1+")


class DescribeConfigsResourceResult(Struct):
    """One setting."""

    name: str = string("0+")
    value: str | None = string("0+", nullable="0+")
    read_only: bool = bool_("0+")
    config_source: int = int8("1+", default=-1, ignorable=True)
    is_sensitive: bool = bool_("0+")
    synonyms: list[DescribeConfigsSynonym] = array(DescribeConfigsSynonym, "1+", ignorable=True)
    config_type: int = int8("3+", default=0, ignorable=True)
    documentation: str | None = string("3+", nullable="0+", ignorable=True)


class DescribeConfigsResult(Struct):
    """The settings of one resource, or why there are none."""

    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+")
    resource_type: int = int8("0+")
    resource_name: str = string("0+")
    configs: list[DescribeConfigsResourceResult] = array(DescribeConfigsResourceResult, "0+")


class DescribeConfigsResponse(Response, key=32, versions="1-4", flexible="4+"):
    """One result for each resource."""

    throttle_time_ms: int = int32("0+")
    results: list[DescribeConfigsResult] = array(DescribeConfigsResult, "0+")


class DescribeConfigsRequest(Request[DescribeConfigsResponse], key=32, versions="1-4", flexible="4+"):
    """Asks for settings; a resource's `configuration_keys` None asks for all of them."""

    resources: list[DescribeConfigsResource] = array(DescribeConfigsResource, "0+")
    include_synonyms: bool = bool_("1+", default=False)
    include_documentation: bool = bool_("3+", default=False)


def configured_int(response: DescribeConfigsResponse, name: str) -> int | None:
    """The value of the setting `name` in the first result that has it as a number; None where it is refused
    or unknown.
    """
    for result in response.results:
        for config in result.configs:
            if config.name == name and config.value is not None and config.value.lstrip("-").isdigit():
                return int(config.value)
    return None
