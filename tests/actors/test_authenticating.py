"""SASL with scripted brokers: who is taken, what users are told where nobody is, and sessions that are renewed."""

from __future__ import annotations

import hashlib
import re
import threading
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import DeliveryTimeout, ProduceError, Record, UnknownTopic
from klife.actors.network import session
from klife.actors.network.broker import Broker
from klife.actors.settings import NEVER
from klife.api.config import ClientConfig
from klife.api.settings import client_settings
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest
from klife.protocol.apis.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from klife.protocol.handshake import Compute
from klife.protocol.sasl import scram
from tests.support.inside_client import broker_status, node, tells_why_it_is_not_ready
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after, answer, cut, good
from tests.support.scripted_sasl import ScriptedSasl
from tests.support.secured import broker_context, made_in
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")
PLAIN = {"mechanism": "PLAIN", "username": "klife", "password": "klife-secret"}
SCRAM = {**PLAIN, "mechanism": "SCRAM-SHA-256"}
WRONG = {**PLAIN, "password": "wrong-secret"}
TOKEN = "a.token.of-klife"


def by_token(provider: Any = lambda: TOKEN) -> dict[str, Any]:
    return {"mechanism": "OAUTHBEARER", "token_provider": provider}


@pytest.mark.parametrize(
    "sasl", [PLAIN, SCRAM, {**PLAIN, "mechanism": "SCRAM-SHA-512"}, by_token()], ids=lambda sasl: sasl["mechanism"]
)
def test_who_is_taken_produces(start_client: Any, sasl: Any) -> None:
    with ScriptedCluster(sasl=ScriptedSasl((sasl["mechanism"],), tokens={TOKEN})) as cluster:
        client = start_client(cluster, sasl=sasl)
        assert [client.produce(ORDER).get(PATIENCE).offset for _ in range(2)] == [0, 1]
        assert broker_status(client, 1).state == "ready"


# what users are told


def test_a_wrong_password_is_told_everywhere_and_tried_again(start_client: Any) -> None:
    sasl = ScriptedSasl()
    with ScriptedCluster(sasl=sasl) as cluster, told_logs() as logs:
        client = start_client(cluster, sasl=WRONG, max_block_ms=500)
        told = r"SASL PLAIN failed: the broker refused user 'klife': \"Authentication failed: Invalid username or password\""
        tells_why_it_is_not_ready(client, told)
        with pytest.raises((UnknownTopic, ProduceError), match=told):
            client.produce(ORDER)
        assert "user 'klife'" in broker_status(client, None).last_error
        sasl.users["klife"] = "wrong-secret"
        client.wait_ready(PATIENCE)
        client.produce(ORDER).get(PATIENCE)
        assert not [log for log in logs if "wrong-secret" in repr(log)]
        assert "wrong-secret" not in repr(client.status())


def test_a_password_that_is_changed_holds_records_until_their_deadline_and_says_why(start_client: Any) -> None:
    sasl = ScriptedSasl()
    with ScriptedCluster(sasl=sasl) as cluster:
        client = start_client(cluster, sasl=PLAIN, request_timeout_ms=500, delivery_timeout_ms=2_000)
        client.produce(ORDER).get(PATIENCE)
        sasl.users["klife"] = "another"
        cluster[1].cut_all()
        with pytest.raises(DeliveryTimeout, match="the broker refused user 'klife'"):
            client.produce(ORDER).get(PATIENCE)


def test_a_mechanism_that_is_not_offered_is_told_with_those_that_are(start_client: Any) -> None:
    with ScriptedCluster(sasl=ScriptedSasl(("SCRAM-SHA-512", "OAUTHBEARER"))) as cluster:
        tells_why_it_is_not_ready(start_client(cluster, sasl=PLAIN), "does not offer it .* OAUTHBEARER, SCRAM-SHA-512")


def test_sasl_that_is_not_wanted_is_told(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        tells_why_it_is_not_ready(start_client(cluster, sasl=PLAIN), "speaks no SASL; leave out sasl")


@pytest.mark.parametrize("tls", [False, True], ids=["in the clear", "over TLS"])
def test_sasl_that_is_missing_is_told_with_the_mechanisms(start_client: Any, tmp_path: Any, tls: bool) -> None:
    certificates = made_in(tmp_path) if tls else None
    brokers = {"tls": broker_context(certificates)} if certificates is not None else {}
    ours: Any = {"tls": {"ca_file": certificates.ca_file}} if certificates is not None else {}
    with ScriptedCluster(sasl=ScriptedSasl(("PLAIN", "SCRAM-SHA-256")), **brokers) as cluster:
        tells_why_it_is_not_ready(
            start_client(cluster, **ours), r"the listener wants SASL \(it offers PLAIN, SCRAM-SHA-256\): set sasl", 0.5
        )


def test_a_broker_that_closes_at_the_first_request_without_wanting_sasl_is_not_said_to(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(MetadataRequest, cut)
        client = start_client(cluster)
        cluster[1].wait_for(SaslHandshakeRequest, 2)
        assert "(it offers" not in broker_status(client, None).last_error
        cluster[1].always(MetadataRequest, None)
        client.wait_ready(PATIENCE)


def test_a_password_in_the_clear_is_warned_of_once_a_client(start_client: Any, tmp_path: Any) -> None:
    certificates = made_in(tmp_path)

    def warnings(brokers: Any, sasl: Any, **ours: Any) -> int:
        with ScriptedCluster(2, tls=brokers, sasl=ScriptedSasl((sasl["mechanism"],))) as cluster, told_logs() as logs:
            start_client(cluster, sasl=sasl, **ours).produce(ORDER).get(PATIENCE)
            return len([log for log in logs if log["event"] == "password_sent_in_the_clear"])

    assert warnings(None, PLAIN) == 1
    assert warnings(None, SCRAM) == 0
    assert warnings(broker_context(certificates), PLAIN, tls={"ca_file": certificates.ca_file}) == 0


def test_a_mechanism_that_fails_or_hangs_is_told_without_what_it_raised(start_client: Any) -> None:
    hanging = threading.Event()

    class Own:
        name = "PLAIN"

        def __init__(self, run: Any) -> None:
            self.run = run

        def exchange(self, _host: str) -> Any:
            return self

        def start(self) -> Any:
            return Compute(self.run, "what Own works out")

    def fails() -> None:
        raise ValueError("klife-secret")

    def gives_up() -> None:
        raise gevent.Timeout(5)

    with ScriptedCluster(sasl=ScriptedSasl()) as cluster, told_logs() as logs:
        tells_why_it_is_not_ready(
            start_client(cluster, sasl={"mechanism": Own(fails)}), "what Own works out failed with ValueError", 0.5
        )
        given_up = start_client(cluster, sasl={"mechanism": Own(gives_up)})
        tells_why_it_is_not_ready(given_up, "what Own works out failed with RuntimeError", 0.5)
        hung = start_client(cluster, sasl={"mechanism": Own(hanging.wait)}, connect_timeout_ms=100)
        tells_why_it_is_not_ready(hung, r"what Own works out was not done within 0\.1 s")
        hanging.set()
        assert not [log for log in logs if "klife-secret" in repr(log)]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), gevent.Timeout(5), LookupError("klife-secret")], ids=repr)
@pytest.mark.parametrize("where", ["exchange", "start", "answered", "done"])
def test_whatever_a_mechanism_raises_ends_one_attempt_and_no_program(start_client: Any, where: str, error: BaseException) -> None:
    class Own:
        name = "PLAIN"
        well = False

        def may_raise(self, here: str) -> None:
            if here == where and not self.well:
                raise error

        def exchange(self, _host: str) -> Any:
            self.may_raise("exchange")
            return self

        def start(self) -> Any:
            self.may_raise("start")
            return Compute(lambda: b"\0klife\0klife-secret", "what Own works out")

        def done(self, result: bytes) -> bytes:
            self.may_raise("done")
            return result

        def answered(self, _challenge: bytes) -> None:
            self.may_raise("answered")

    own = Own()
    with ScriptedCluster(sasl=ScriptedSasl()) as cluster:
        client = start_client(cluster, sasl={"mechanism": own})
        tells_why_it_is_not_ready(client, f"the mechanism failed with {type(error).__name__}, which is a bug in it", 0.1)
        assert "klife-secret" not in repr(client.status())
        restarts = node(client, "bootstrap").restarts
        own.well = True
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        assert restarts == 0


def test_the_hub_turns_while_the_rounds_of_scram_are_worked_out(start_client: Any, monkeypatch: Any) -> None:
    """PBKDF2 waits here until the hub has turned: held by it, the hub would not, and the connection would fail."""
    working, turned = threading.Event(), threading.Event()

    def pbkdf2(*args: Any) -> bytes:
        working.set()
        assert turned.wait(PATIENCE), "the hub stood still"
        return hashlib.pbkdf2_hmac(*args)

    monkeypatch.setattr(scram, "pbkdf2_hmac", pbkdf2)
    with ScriptedCluster(sasl=ScriptedSasl(("SCRAM-SHA-256",), iterations=1_000_000)) as cluster:
        client = start_client(cluster, sasl=SCRAM)
        wait_until(working.is_set)
        turned.set()
        assert client.produce(ORDER).get(PATIENCE).offset == 0


# kills


HANGS = {
    "negotiating": ApiVersionsRequest,
    "authenticating, the mechanism": SaslHandshakeRequest,
    "authenticating, the proof": SaslAuthenticateRequest,
}


@pytest.mark.parametrize("request_", HANGS.values(), ids=HANGS)
def test_an_actor_killed_in_the_handshake_costs_a_restart_and_nothing_else(start_client: Any, request_: Any) -> None:
    with ScriptedCluster(sasl=ScriptedSasl(("SCRAM-SHA-256",))) as cluster:
        go_on = Event()
        cluster[1].always(request_, after(go_on))
        client = start_client(cluster, sasl=SCRAM)
        cluster[1].wait_for(request_)
        node(client, "bootstrap").kill()
        cluster[1].wait_for(request_, 2)
        go_on.set()
        assert client.produce(ORDER).get(PATIENCE).offset == 0


def test_an_actor_killed_while_a_token_is_awaited_costs_a_restart_and_no_second_token(start_client: Any) -> None:
    asked: list[Any] = []
    go_on = threading.Event()

    def provider() -> str:
        asked.append(monotonic())
        go_on.wait()
        return TOKEN

    with ScriptedCluster(sasl=ScriptedSasl(("OAUTHBEARER",), tokens={TOKEN})) as cluster:
        client = start_client(cluster, sasl=by_token(provider))
        wait_until(lambda: asked)
        node(client, "bootstrap").kill()
        cluster[1].wait_for(SaslHandshakeRequest, 2)
        go_on.set()
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        assert len(asked) == 1


def test_an_actor_killed_while_something_is_worked_out_costs_a_restart_and_what_comes_late_is_dropped(start_client: Any) -> None:
    worked: list[int] = []
    go_on = threading.Event()

    class Slow:
        name = "PLAIN"

        def exchange(self, _host: str) -> Any:
            return self

        def start(self) -> Any:
            return Compute(self.work, "what Slow works out")

        def work(self) -> int:
            worked.append(len(worked) + 1)
            number = worked[-1]
            go_on.wait()
            return number

        def done(self, _number: int) -> bytes:
            return b"\0klife\0klife-secret"

        def answered(self, _challenge: bytes) -> None: ...

    sasl = ScriptedSasl()
    with ScriptedCluster(sasl=sasl) as cluster:
        client = start_client(cluster, sasl={"mechanism": Slow()})
        wait_until(lambda: worked == [1])
        node(client, "bootstrap").kill()
        wait_until(lambda: worked == [1, 2])
        go_on.set()
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        assert [connection for _, connection, _ in sasl.authentications] == [2, 3]


# sessions


@pytest.fixture
def short_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are renewed early, so that a machine that is busy does not see them end."""
    monkeypatch.setattr(session, "_LEAST_SECONDS", 0.2)
    monkeypatch.setattr(session, "_RENEWED_AT", (0.1, 0.1))


@pytest.mark.usefixtures("short_sessions")
def test_a_session_is_renewed_with_requests_on_their_way_and_nothing_is_lost(start_client: Any) -> None:
    sasl = ScriptedSasl(("SCRAM-SHA-256",), lifetime_ms=3000, renewed_after=0.2)
    with ScriptedCluster(sasl=sasl) as cluster:
        client = start_client(cluster, sasl=SCRAM, max_in_flight_requests=5)
        cluster[1].always(ProduceRequest, _slow)
        deliveries = []
        with gevent.Timeout(PATIENCE):
            while len([1 for _, connection, _ in sasl.authentications if connection == 2]) < 4:
                deliveries.append(client.produce(ORDER))
                gevent.sleep(0.005)
        assert [each.get(PATIENCE).offset for each in deliveries] == list(range(len(deliveries)))
        assert sasl.broken == []
        assert broker_status(client, 1).connects == 1


@pytest.mark.parametrize(("lifetime_ms", "earliest", "latest"), [(0, NEVER, NEVER), (3_600_000, 3060.0, 3420.0), (1000, 1.1, 1.1)])
def test_when_a_session_is_renewed(lifetime_ms: int, earliest: float, latest: float) -> None:
    settings = client_settings(ClientConfig.build("here:9092"), "c").connection
    broker = Broker(1, "here", 9092, settings, "c")
    broker.connection.session_lifetime_ms = lifetime_ms
    renewed = session.Session(broker, lambda: None)
    for _ in range(50):
        renewed.settled(1000.0)
        assert 1000.0 + earliest <= renewed.renew_at <= 1000.0 + latest


def _slow(exchange: Any) -> None:
    gevent.sleep(0.005)
    good(exchange)


@pytest.mark.usefixtures("short_sessions")
def test_an_idle_session_is_renewed_and_a_killed_actor_makes_a_new_one(start_client: Any) -> None:
    sasl = ScriptedSasl(lifetime_ms=3000, renewed_after=0.2)
    with ScriptedCluster(sasl=sasl) as cluster:
        client = start_client(cluster, sasl=PLAIN)
        client.produce(ORDER).get(PATIENCE)
        requests = len(cluster[1].got(ProduceRequest))
        go_on = Event()
        cluster[1].always(SaslAuthenticateRequest, after(go_on))
        wait_until(lambda: broker_status(client, 1).state == "reauthenticating")
        waiting = client.produce(ORDER)
        node(client, "broker 1").kill()
        go_on.set()
        assert waiting.get(PATIENCE).offset == 1
        assert len(cluster[1].got(ProduceRequest)) == requests + 1
        assert sasl.broken == []


@pytest.mark.usefixtures("short_sessions")
@pytest.mark.parametrize("refusal", [answer(SaslHandshakeResponse(error_code=34, mechanisms=[])), cut])
def test_a_renewal_that_fails_makes_the_connection_anew_and_records_wait(start_client: Any, refusal: Any) -> None:
    sasl = ScriptedSasl(lifetime_ms=3000, renewed_after=0.2)
    with ScriptedCluster(sasl=sasl) as cluster, told_logs() as logs:
        client = start_client(cluster, sasl=PLAIN)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(SaslHandshakeRequest, refusal)
        wait_until(lambda: broker_status(client, 1).connects == 2)
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        reasons = [log["reason"] for log in logs if log["event"] == "connection_failed"]
        assert len(reasons) == 1
        assert re.search("re-authentication|session was renewed", reasons[0])


@pytest.mark.usefixtures("short_sessions")
def test_a_renewal_without_an_answer_ends_at_its_deadline(start_client: Any) -> None:
    sasl = ScriptedSasl(lifetime_ms=3000, renewed_after=0.2)
    with ScriptedCluster(sasl=sasl) as cluster, told_logs() as logs:
        client = start_client(cluster, sasl=PLAIN, connect_timeout_ms=100)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(SaslAuthenticateRequest, lambda _exchange: None)
        waiting = wait_until(lambda: broker_status(client, 1).state == "reauthenticating" and client.produce(ORDER))
        assert waiting.get(PATIENCE).offset == 1
        reasons = [log["reason"] for log in logs if log["event"] == "connection_failed"]
        assert ["the handshake was not through within 0.1 s" in reason for reason in reasons] == [True]
