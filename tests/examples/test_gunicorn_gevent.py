"""examples/gunicorn_gevent with real gunicorn, real load and real brokers; what is in the topics is read by
confluent-kafka.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from klife import StopReport
from klife.protocol.apis.produce import ProduceRequest
from klife.testing.cluster import KafkaCluster
from tests.support.reader import read_topic
from tests.support.scripted_broker import ScriptedCluster, silent
from tests.support.web_load import VISITORS, Load, assert_kept
from tests.support.web_service import EXAMPLE, PATIENCE, WORKERS, Visitor, WebService, gunicorn, paused

LINGERING = {"KLIFE_LINGER_MS": "60000", "KLIFE_DELIVERY_TIMEOUT_MS": "90000"}  # what is queued stays so, until somebody flushes

MakeTopic = Callable[[], str]


def total(reports: list[StopReport]) -> StopReport:
    return StopReport(
        delivered=sum(report.delivered for report in reports),
        failed=sum(report.failed for report in reports),
        undelivered=sum(report.undelivered for report in reports),
    )


@pytest.mark.timeout(300)
def test_five_thousand_orders_of_a_preloaded_application_and_sigterm_under_load(
    kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic()
    with gunicorn(kafka_cluster.bootstrap_servers, tmp_path, "--preload", environ={"SHOP_ORDERS_TOPIC": topic}) as service:
        load = Load(service, "/orders", 100_000)
        service.wait_until(lambda: len(load.answered) >= 5000)
        service.terminate()
        assert service.wait() == 0
        load.wait()
        assert load.statuses == {201}
        in_the_log = assert_kept(kafka_cluster, topic, load)
        assert in_the_log >= 5000
        assert total(service.reports) == StopReport(delivered=in_the_log, failed=0, undelivered=0)


@pytest.mark.parametrize(
    ("end", "preload"),
    [
        pytest.param(WebService.terminate, [], id="SIGTERM"),
        pytest.param(WebService.interrupt, ["--preload"], id="SIGINT, preloaded"),
        pytest.param(WebService.ctrl_c, [], id="Ctrl-C"),
    ],
)
def test_a_signal_under_load_loses_nothing_that_was_answered(
    end: Callable[[WebService], None], preload: list[str], kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic()
    with gunicorn(kafka_cluster.bootstrap_servers, tmp_path, *preload, environ={"SHOP_ORDERS_TOPIC": topic}) as service:
        load = Load(service, "/orders", 100_000)
        service.wait_until(lambda: len(load.answered) > 200)
        end(service)
        assert service.wait() == 0
        load.wait()
        assert 201 in load.statuses <= {201, 503}
        assert_kept(kafka_cluster, topic, load)
        assert "LOST" not in service.log
        assert total(service.reports).undelivered == 0


def test_recycled_workers_lose_nothing(kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path) -> None:
    topic = make_topic()
    options = ("--preload", "--max-requests", "50")
    with gunicorn(kafka_cluster.bootstrap_servers, tmp_path, *options, environ={"SHOP_ORDERS_TOPIC": topic}) as service:
        load = Load(service, "/orders", 30)
        load.wait()
        service.terminate()
        assert service.wait() == 0
        assert load.statuses == {201}
        in_the_log = assert_kept(kafka_cluster, topic, load)
        assert total(service.reports) == StopReport(delivered=in_the_log, failed=0, undelivered=0)
        assert len(service.reports) > WORKERS


def test_what_is_queued_when_a_worker_ends_is_delivered(kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path) -> None:
    topic = make_topic()
    options = ("--preload", "--max-requests", "100")
    with gunicorn(kafka_cluster.bootstrap_servers, tmp_path, *options, environ={"SHOP_CLICKS_TOPIC": topic, **LINGERING}) as service:
        load = Load(service, "/clicks", 20)
        load.wait()
        service.wait_for_lines("klife: StopReport")  # one was recycled
        recycled = len(read_topic(kafka_cluster.bootstrap_servers, topic))
        service.terminate()
        assert service.wait() == 0
        assert load.statuses == {202}
        found = Counter(each.value for each in read_topic(kafka_cluster.bootstrap_servers, topic))
        assert found.keys() >= load.answered.keys()
        assert max(found.values()) == 1
        assert recycled > 0
        assert 0 < service.reports[0].delivered < len(found)  # and it was not all that there was
        assert total(service.reports) == StopReport(delivered=len(found), failed=0, undelivered=0)


def test_all_is_settled_and_told_before_gunicorn_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    settings = runpy.run_path(str(EXAMPLE / "gunicorn.conf.py"))
    longest = int(os.environ["KLIFE_MAX_BLOCK_MS"]) + int(os.environ["KLIFE_DELIVERY_TIMEOUT_MS"])
    assert longest + 3000 <= settings["graceful_timeout"] * 1000


def test_what_cannot_be_delivered_is_reported_before_gunicorn_loses_patience(tmp_path: Path) -> None:
    with ScriptedCluster(topics={"shop-orders": 1, "shop-clicks": 1}) as cluster:
        cluster[1].always(ProduceRequest, silent)
        impatient = {"KLIFE_DELIVERY_TIMEOUT_MS": "2000", "KLIFE_REQUEST_TIMEOUT_MS": "1000", "KLIFE_MAX_BLOCK_MS": "30000"}
        options = ("--graceful-timeout", "10")
        with gunicorn(cluster.bootstrap_servers, tmp_path, *options, environ=impatient) as service:
            visitor = Visitor(service.port)
            waiting = gevent.spawn(Visitor(service.port).post, "/orders", b"order")
            # The order is first, so that its fate is unknown; behind clicks it might never be sent.
            service.wait_until(lambda: cluster[1].got(ProduceRequest))
            clicks = [visitor.post("/clicks", b"click") for _ in range(50)]
            service.terminate()
            status, answer = waiting.get(timeout=PATIENCE)
            assert service.wait() == 0
            assert clicks == [(202, b"{}\n")] * 50
            assert (status, json.loads(answer)["possibly_persisted"]) == (503, True)
            assert service.log.count("a click is lost") == 50
            assert total(service.reports) == StopReport(delivered=0, failed=51, undelivered=0)
            assert "SIGKILL" not in service.log


def test_a_killed_worker_hurts_only_itself(kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path) -> None:
    topic, clicks = make_topic(), make_topic()
    options = ("--preload", "--keep-alive", "60")
    with gunicorn(
        kafka_cluster.bootstrap_servers, tmp_path, *options, environ={"SHOP_ORDERS_TOPIC": topic, "SHOP_CLICKS_TOPIC": clicks}
    ) as service:
        service.wait_until_whole()
        one, other = service.workers
        with paused(other):
            ones = visitors_at_work(service)
        with paused(one):
            others = visitors_at_work(service)
        at_one, at_other = Load(service, "/orders", 60, ones), Load(service, "/orders", 60, others)
        service.wait_until(lambda: len(at_one.answered) > 100)
        os.kill(one, signal.SIGKILL)
        at_one.wait()
        at_other.wait()
        service.wait_until_whole()
        assert other in service.workers
        service.terminate()
        assert service.wait() == 0
        assert at_one.statuses == at_other.statuses == {201}
        assert 0 < at_one.unanswered <= len(ones)
        assert at_other.unanswered == 0
        assert_kept(kafka_cluster, topic, at_one, at_other)
        assert total(service.reports).undelivered == 0


def visitors_at_work(service: WebService) -> list[Visitor]:
    """Visitors who have been answered, and keep their connections to whichever workers did that."""
    visitors = [Visitor(service.port) for _ in range(VISITORS // 2)]
    for visitor in visitors:
        assert visitor.post("/clicks", b"click")[0] == 202
    return visitors


HOOK = """
worker_class = "gevent"

def {hook}:
    from klife import Client, ClientConfig
    Client.start(ClientConfig.from_env(), name="shop")
"""
APPLICATION = """
import os
from klife import Client, Record

def app(environ, start_response):
    Client.get("shop").produce_async(Record(os.environ["SHOP_CLICKS_TOPIC"], environ["wsgi.input"].read()))
    start_response("202 Accepted", [("Content-Length", "0")])
    return []
"""


@pytest.mark.parametrize("hook", ["post_worker_init(worker)", "post_fork(server, worker)"])
def test_a_client_made_in_a_hook_and_forgotten_delivers_at_the_workers_exit(
    hook: str, kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic()
    (tmp_path / "gunicorn.conf.py").write_text(HOOK.format(hook=hook))
    (tmp_path / "app.py").write_text(APPLICATION)
    with gunicorn(
        kafka_cluster.bootstrap_servers, tmp_path, "--preload", application=tmp_path, environ={"SHOP_CLICKS_TOPIC": topic, **LINGERING}
    ) as service:
        load = Load(service, "/", 5)
        load.wait()
        service.terminate()
        assert service.wait() == 0
        assert load.statuses == {202}
        found = [each.value or b"" for each in read_topic(kafka_cluster.bootstrap_servers, topic)]
        assert sorted(found) == sorted(load.answered)
        assert "client 'shop' was not stopped before exit" in service.log
        assert "all is delivered now" in service.log


USED_IN_THE_MASTER = """
import json, os
from klife import Client, ClientConfig, Record

TOPIC = os.environ["SHOP_ORDERS_TOPIC"]
client = Client.start(ClientConfig.from_env())
client.produce(Record(TOPIC, b"from the master")).get()

def app(environ, start_response):
    order = client.produce(Record(TOPIC, environ["wsgi.input"].read())).get()
    start_response("201 Created", [("Content-Type", "application/json")])
    return [json.dumps({"partition": order.partition, "offset": order.offset}).encode()]
"""


def test_workers_have_clients_of_their_own_where_the_master_has_used_its(
    kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic()
    (tmp_path / "gunicorn.conf.py").write_text('worker_class = "gevent"\nmax_requests = 50\n')
    (tmp_path / "app.py").write_text(USED_IN_THE_MASTER)
    with gunicorn(
        kafka_cluster.bootstrap_servers, tmp_path, "--preload", application=tmp_path, environ={"SHOP_ORDERS_TOPIC": topic}
    ) as service:
        load = Load(service, "/", 15)
        load.wait()
        service.terminate()
        assert service.wait() == 0
        assert load.statuses == {201}
        load.sent.add(b"from the master")
        assert assert_kept(kafka_cluster, topic, load) > len(load.answered)
        assert "klife" not in service.log
