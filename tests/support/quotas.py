"""Quotas of a cluster, for tests: AlterClientQuotas (KIP-546), which klife itself has no use for."""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, bool_, float64, int16, int32, string
from klife.testing.cluster import KafkaCluster


class _Entity(Struct):
    entity_type: str = string("0+")
    entity_name: str | None = string("0+", nullable="0+")


class _Answer(Struct):
    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+")
    entity: list[_Entity] = array(_Entity, "0+")


class _Response(Response, key=49, versions="0-1", flexible="1+"):
    throttle_time_ms: int = int32("0+")
    entries: list[_Answer] = array(_Answer, "0+")


class _Op(Struct):
    key: str = string("0+")
    value: float = float64("0+")
    remove: bool = bool_("0+")


class _Entry(Struct):
    entity: list[_Entity] = array(_Entity, "0+")
    ops: list[_Op] = array(_Op, "0+")


class _Request(Request[_Response], key=49, versions="0-1", flexible="1+"):
    entries: list[_Entry] = array(_Entry, "0+")
    validate_only: bool = bool_("0+")


def set_producer_quota(cluster: KafkaCluster, client_id: str, bytes_per_second: float) -> None:
    """Let clients of this id write so much a second to each broker. Brokers hear of it a moment later, one
    after another.
    """
    entity = _Entity(entity_type="client-id", entity_name=client_id)
    op = _Op(key="producer_byte_rate", value=bytes_per_second, remove=False)
    request = _Request(entries=[_Entry(entity=[entity], ops=[op])], validate_only=False)
    with cluster.admin() as admin:
        answer = admin.send(request, admin.brokers()[0].address)
    assert [entry.error_code for entry in answer.entries] == [0], answer
