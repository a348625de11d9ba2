"""Clusters that give a producer no id: its records fail at once, and say what to do; and it is told once."""

from __future__ import annotations

from time import monotonic
from typing import Any

import gevent
import pytest

from klife import Client, NotReady, ProduceError, Record
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, answer, refuse
from tests.support.told_logs import told_logs

ORDER = Record("orders", b"v")


def refused(code: int) -> Any:
    return answer(InitProducerIdResponse(error_code=code, producer_id=-1, producer_epoch=-1))


def offset_when_delivered(client: Client) -> int | None:
    """Produce until it works: between two attempts to get an id records fail with the last refusal."""
    with gevent.Timeout(PATIENCE):
        while True:
            try:
                return client.produce(ORDER).get(PATIENCE).offset
            except ProduceError:
                gevent.sleep(0.01)


def test_brokers_that_do_not_serve_it_fail_records_at_once(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        for broker in cluster.brokers.values():
            del broker.versions[InitProducerIdRequest]
        with told_logs() as logs:
            client = start_client(cluster)
            for _ in range(3):
                began = monotonic()
                with pytest.raises(ProduceError, match=r"does not serve InitProducerId.*set enable_idempotence=False") as raised:
                    client.produce(ORDER).get(PATIENCE)
                assert monotonic() - began < PATIENCE
                assert (raised.value.retriable, raised.value.possibly_persisted) == (False, False)
                gevent.sleep(0.1)
            with pytest.raises(NotReady, match="does not serve InitProducerId"):
                client.wait_ready(0.1)
        assert [entry["log_level"] for entry in logs if entry["event"] == "no_producer_id" and entry["log_level"] != "debug"] == [
            "warning"
        ]
        assert not cluster[1].got(ProduceRequest)


def test_without_idempotence_such_brokers_are_as_good_as_any(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        del cluster[1].versions[InitProducerIdRequest]
        client = start_client(cluster, enable_idempotence=False)
        client.wait_ready(PATIENCE)
        assert client.produce(ORDER).get(PATIENCE).offset == 0


def test_a_broker_that_serves_it_is_asked_if_there_is_one(start_client: Any) -> None:
    with ScriptedCluster(brokers=2, topics={"orders": 2}) as cluster:
        del cluster[1].versions[InitProducerIdRequest]
        cluster.move("orders", 1, 2)
        client = start_client(cluster)
        with gevent.Timeout(PATIENCE):
            while True:  # until broker 2 is connected, there is none
                try:
                    client.produce(Record("orders", b"v", partition=1)).get(PATIENCE)
                    break
                except ProduceError as error:
                    refusal = str(error)
                    gevent.sleep(0.01)
                    assert "InitProducerId" in refusal
        assert client.produce(Record("orders", b"v", partition=0)).get(PATIENCE).offset == 0


@pytest.mark.parametrize(
    ("code", "advice"),
    [(31, "grant User:ANONYMOUS .* IdempotentWrite .* or set enable_idempotence=False"), (42, "set enable_idempotence=False")],
)
def test_a_refusal_fails_records_until_it_is_over_and_is_told_once(start_client: Any, code: int, advice: str) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(InitProducerIdRequest, refused(code))
        with told_logs() as logs:
            client = start_client(cluster)
            for _ in range(4):
                with pytest.raises(ProduceError, match=advice) as raised:
                    client.produce(ORDER).get(PATIENCE)
                assert raised.value.error_code == code
                gevent.sleep(0.01)
            assert len(cluster[1].got(InitProducerIdRequest)) > 2
        assert [entry["log_level"] for entry in logs if entry["event"] == "no_producer_id" and entry["log_level"] != "debug"] == [
            "warning"
        ]
        cluster[1].always(InitProducerIdRequest, None)
        assert offset_when_delivered(client) == 0


def test_another_reason_is_told_again(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        reasons: list[int] = []

        def one_after_the_other(exchange: Exchange) -> None:
            reasons.append(31 if len(reasons) < 4 else 15)
            refused(reasons[-1])(exchange)

        cluster[1].always(InitProducerIdRequest, one_after_the_other)
        with told_logs() as logs:
            client = start_client(cluster)
            with gevent.Timeout(PATIENCE):
                while len(reasons) < 12:
                    client.produce(ORDER)
                    gevent.sleep(0.01)
        warned = [entry["error"] for entry in logs if entry["event"] == "no_producer_id" and entry["log_level"] == "warning"]
        assert [error.split(" ")[0] for error in warned] == ["CLUSTER_AUTHORIZATION_FAILED", "COORDINATOR_NOT_AVAILABLE"]
        # What may pass is waited for.
        cluster[1].always(InitProducerIdRequest, None)
        client.flush(PATIENCE)
        assert cluster.log("orders")


def test_while_no_records_want_an_id_a_refusal_is_not_asked_about_again_and_again(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(InitProducerIdRequest, refused(31))
        client = start_client(cluster)
        client.partitions("orders")
        cluster[1].wait_for(InitProducerIdRequest)
        gevent.sleep(0.5)  # 25 backoffs
        assert len(cluster[1].got(InitProducerIdRequest)) <= 2
        cluster[1].always(InitProducerIdRequest, None)
        assert client.produce(ORDER).get(PATIENCE).offset == 0  # asked at once for it


def test_records_whose_id_was_taken_away_fail_as_well_when_there_is_no_other(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].always(InitProducerIdRequest, refused(31))
        cluster[1].script(ProduceRequest, refuse(47))
        with pytest.raises(ProduceError, match="set enable_idempotence=False") as raised:
            client.produce(ORDER).get(PATIENCE)
        assert (raised.value.error_code, raised.value.possibly_persisted) == (31, False)
        cluster[1].always(InitProducerIdRequest, None)
        assert offset_when_delivered(client) == 1
