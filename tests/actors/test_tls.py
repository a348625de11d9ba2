"""TLS to scripted brokers: records through, names, certificates that change, and what users are told."""

from __future__ import annotations

import os
import shutil
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer

from klife import Record
from klife.actors import engines
from klife.actors.network import connector, session, tls_context
from klife.actors.network.tls_trouble import in_handshake
from klife.actors.settings import TlsSettings
from klife.protocol.apis.produce import ProduceRequest
from tests.support.inside_client import broker_status, node, tells_why_it_is_not_ready
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.secured import broker_context, made_in
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")
LARGE = Record(topic="orders", value=bytes(400_000))
FIVE_SECONDS = 5.0  # within which a reason is told


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return made_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def own(certificates: Any, tmp_path: Path) -> dict[str, str]:
    """Files that a test may change."""
    files = {"ca_file": certificates.ca_file, **certificates.client()}
    return {option: shutil.copy(path, f"{tmp_path}/{option}.pem") for option, path in files.items()}


# all is well


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_records_go_through_small_and_large(start_client: Any, certificates: Any, own: Any, version: ssl.TLSVersion) -> None:
    with ScriptedCluster(tls=broker_context(certificates, wants_client=True, tls=version)) as cluster:
        client = start_client(cluster, tls=own, max_in_flight_requests=5)
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        assert [each.get(PATIENCE).offset for each in [client.produce(LARGE) for _ in range(6)]] == [1, 2, 3, 4, 5, 6]
        assert broker_status(client, 1).connects == 1


def test_an_encrypted_key_is_opened_and_one_may_be_in_the_certificates_file(
    start_client: Any, certificates: Any, tmp_path: Path
) -> None:
    with ScriptedCluster(tls=broker_context(certificates, wants_client=True)) as cluster:
        files = certificates.client(key_password="klife-key")
        start_client(cluster, tls={"ca_file": certificates.ca_file, **files}).produce(ORDER).get(PATIENCE)
        both = tmp_path / "both.pem"
        both.write_bytes(Path(files["cert_file"]).read_bytes() + Path(files["key_file"]).read_bytes())
        tls = {"ca_file": certificates.ca_file, "cert_file": str(both), "key_password": "klife-key"}
        start_client(cluster, tls=tls).produce(ORDER).get(PATIENCE)


def test_a_users_context_is_used_as_it_is_and_nothing_is_set_on_it(start_client: Any, certificates: Any) -> None:
    class Frozen(ssl.SSLContext):
        frozen = False

        def __setattr__(self, name: str, value: Any) -> None:
            assert not Frozen.frozen, f"{name} was set"
            super().__setattr__(name, value)

    context = Frozen(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates.ca_file)
    Frozen.frozen = True
    with ScriptedCluster(tls=broker_context(certificates)) as cluster:
        start_client(cluster, tls=context).produce(ORDER).get(PATIENCE)


def test_a_users_context_that_verifies_nobody_is_warned_of_once_a_client(start_client: Any, certificates: Any) -> None:
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    careful = ssl.create_default_context(cafile=certificates.ca_file)
    careful.check_hostname = False
    with ScriptedCluster(2, tls=broker_context(certificates)) as cluster:
        for context, warnings in ((careless, 1), (careful, 0)):
            with told_logs() as logs:
                client = start_client(cluster, tls=context)
                client.produce(ORDER).get(PATIENCE)
                assert client.doctor().ok
                assert len([log for log in logs if log["event"] == "brokers_not_verified"]) == warnings


@pytest.mark.parametrize(("host", "sent"), [("localhost", "localhost"), ("localhost.", "localhost"), ("127.0.0.1", None)])
def test_a_name_is_sent_whether_or_not_it_is_checked_and_an_address_is_not(
    start_client: Any, certificates: Any, monkeypatch: pytest.MonkeyPatch, host: str, sent: str | None
) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *rest: look_up(name.rstrip("."), *rest))
    context, names = broker_context(certificates), []
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    with ScriptedCluster(tls=context) as cluster:
        cluster.host = host
        for check_hostname in (True, False):
            client = start_client(cluster, tls={"ca_file": certificates.ca_file, "check_hostname": check_hostname})
            client.produce(ORDER).get(PATIENCE)
    assert set(names) == {sent}


def test_without_the_check_another_name_does_and_another_authority_does_not(
    start_client: Any, certificates: Any, tmp_path: Path
) -> None:
    elsewhere = made_in(tmp_path, names=["kafka.example.org"])
    with ScriptedCluster(tls=broker_context(elsewhere)) as cluster:
        start_client(cluster, tls={"ca_file": elsewhere.ca_file, "check_hostname": False}).produce(ORDER).get(PATIENCE)
        client = start_client(cluster, tls={"ca_file": certificates.ca_file, "check_hostname": False})
        tells_why_it_is_not_ready(client, "not signed by")


# certificates change


def test_new_connections_use_new_files_and_bad_ones_leave_the_old_in_use(start_client: Any, certificates: Any, own: Any) -> None:
    seen: list[str] = []
    with ScriptedCluster(tls=broker_context(certificates, wants_client=True)) as cluster, told_logs() as logs:
        cluster[1].always(ProduceRequest, lambda exchange: (seen.append(_who(exchange)), exchange.send(exchange.good_answer()))[0])
        client = start_client(cluster, tls=own)

        def produced_as() -> str:
            broker = engines.find(client.name).metadata.broker(1)  # type: ignore[union-attr]
            broker.fail("for the test")
            wait_until(lambda: broker.failure is None)
            client.produce(ORDER).get(PATIENCE)
            return seen.pop()

        def warnings() -> list[str]:
            return [log["reason"] for log in logs if log["event"] == "tls_files_not_used"]

        assert produced_as() == "klife"
        renewed = certificates.client("renewed")
        replace_file(renewed["key_file"], own["key_file"])
        assert (produced_as(), produced_as()) == ("klife", "klife")
        assert [reason.partition(" holds")[2] for reason in warnings()] == [
            f" the private key of another certificate than cert_file {own['cert_file']!r}"
        ]
        replace_file(renewed["cert_file"], own["cert_file"])
        assert produced_as() == "renewed"
        Path(own["ca_file"]).write_bytes(Path(own["ca_file"]).read_bytes()[:-40])
        assert produced_as() == "renewed"
        os.unlink(own["key_file"])
        assert (produced_as(), produced_as()) == ("renewed", "renewed")
        assert len(warnings()) == 2  # the third is a repeat
        assert "middle of a certificate" in warnings()[1]


def replace_file(new: str, old: str) -> None:
    shutil.copy(new, old + ".new")
    os.replace(old + ".new", old)


def _who(exchange: Any) -> str:
    return dict(pair[0] for pair in exchange.sock.getpeercert()["subject"])["commonName"]  # type: ignore[no-any-return]


# what users are told


def test_who_is_not_trusted_and_who_has_another_name_is_told(start_client: Any, certificates: Any, tmp_path: Path) -> None:
    elsewhere = made_in(tmp_path, names=["kafka.example.org", "10.1.2.3"])
    with ScriptedCluster(tls=broker_context(elsewhere)) as cluster:
        for tls, told in (
            ({"ca_file": certificates.ca_file}, rf"is not signed by an authority in ca_file '{certificates.ca_file}'"),
            ({}, r"an authority that this system trusts: name the one that signed it in ca_file"),
            ({"ca_file": elsewhere.ca_file}, r"is for kafka\.example\.org, 10\.1\.2\.3, and not for '127\.0\.0\.1'"),
        ):
            tells_why_it_is_not_ready(start_client(cluster, tls=tls), told)
        context = ssl.create_default_context(cafile=elsewhere.ca_file)
        tells_why_it_is_not_ready(start_client(cluster, tls=context), r"is for kafka\.example\.org, 10\.1\.2\.3, and not for")


def test_an_expired_certificate_is_told_with_its_end(start_client: Any, tmp_path: Path) -> None:
    expired = made_in(tmp_path, expired=True)
    with ScriptedCluster(tls=broker_context(expired)) as cluster:
        client = start_client(cluster, tls={"ca_file": expired.ca_file})
        tells_why_it_is_not_ready(client, r"has expired: it was valid until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_of_the_client_that_is_missing_or_refused_is_told(
    start_client: Any, certificates: Any, version: ssl.TLSVersion
) -> None:
    with ScriptedCluster(tls=broker_context(certificates, wants_client=True, tls=version)) as cluster:
        without = start_client(cluster, tls={"ca_file": certificates.ca_file})
        tells_why_it_is_not_ready(without, r"wants? a certificate of the client.*set cert_file")
        expired = certificates.client(expired=True)
        refused = start_client(cluster, tls={"ca_file": certificates.ca_file, **expired})
        tells_why_it_is_not_ready(refused, rf"refuses the client's certificate \(cert_file '{expired['cert_file']}'\)")
        assert "timed out" not in broker_status(refused, None).last_error


def test_tls_to_a_listener_without_is_told(start_client: Any) -> None:
    with ScriptedCluster() as cluster, closing_at_once() as port:
        cluster[1].stop()
        cluster[1].port = port
        tells_why_it_is_not_ready(
            start_client(cluster, tls=True), "a listener without TLS does that: name one with TLS, or leave out tls", 0.5
        )


def test_no_tls_to_a_listener_with_it_is_told(start_client: Any, certificates: Any) -> None:
    with ScriptedCluster(tls=broker_context(certificates)) as cluster:
        tells_why_it_is_not_ready(start_client(cluster), "set tls, or name a listener without it")


def test_a_listener_that_says_nothing_is_given_up_in_time(start_client: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with ScriptedCluster() as cluster:
        cluster[1].stop()
        cluster[1].port = listener.getsockname()[1]
        client = start_client(cluster, tls=True, connect_timeout_ms=100)
        tells_why_it_is_not_ready(client, r"the TLS handshake was not through within 0\.1 s")
    listener.close()


@pytest.mark.parametrize(
    ("ours", "told"),
    [({"tls": True}, "the TLS handshake is unanswered for 0 s"), ({}, "the handshake is unanswered for 0 s")],
    ids=["TLS", "plaintext"],
)
def test_while_a_listener_says_nothing_that_is_told(start_client: Any, monkeypatch: Any, ours: Any, told: str) -> None:
    for module in (connector, session):
        monkeypatch.setattr(module, "LONG_SECONDS", 0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    with ScriptedCluster() as cluster:
        cluster[1].stop()
        cluster[1].port = listener.getsockname()[1]
        client = start_client(cluster, connect_timeout_ms=600_000, **ours)
        tells_why_it_is_not_ready(client, told, 0.1)
        assert told in broker_status(client, None).last_error
    listener.close()


def test_an_actor_killed_in_the_tls_handshake_costs_a_restart_and_nothing_else(start_client: Any, certificates: Any) -> None:
    go_on, hellos = Event(), []

    def slow(_sock: Any, name: Any, _context: Any) -> None:
        hellos.append(name)
        go_on.wait()

    context = broker_context(certificates)
    context.sni_callback = slow
    with ScriptedCluster(tls=context) as cluster:
        client = start_client(cluster, tls={"ca_file": certificates.ca_file})
        for attempt in (1, 2, 3):
            wait_until(lambda number=attempt: len(hellos) >= number)  # type: ignore[misc]
            node(client, "bootstrap").kill()
        go_on.set()
        assert client.produce(ORDER).get(PATIENCE).offset == 0


def test_files_on_a_disk_that_hangs_cost_one_thread_and_are_told(
    start_client: Any, certificates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, go_on = [], threading.Event()
    with ScriptedCluster(tls=broker_context(certificates)) as cluster:
        real = tls_context._stamp_of
        monkeypatch.setattr(tls_context, "_stamp_of", lambda settings: (looks.append(1), go_on.wait(), real(settings))[2])
        client = start_client(cluster, tls={"ca_file": certificates.ca_file}, connect_timeout_ms=50)
        tells_why_it_is_not_ready(client, r"the files of tls were not read within 0\.05 s")
        assert len(looks) == 1
        go_on.set()
        client.wait_ready(PATIENCE)


class closing_at_once:  # noqa: N801
    """A listener that closes when it is told something, as Kafka's without TLS do at a ClientHello."""

    def __enter__(self) -> int:
        self._server = StreamServer(("127.0.0.1", 0), lambda sock, _address: sock.recv(4))
        self._server.start()
        return int(self._server.server_port)

    def __exit__(self, *_exc_info: object) -> None:
        self._server.stop(timeout=0)


@pytest.mark.parametrize("error", [ssl.SSLEOFError(8, "EOF"), ssl.SSLZeroReturnError(6, "closed"), ConnectionResetError(104, "reset")])
def test_an_end_in_the_handshake_tells_of_a_listener_without_tls_whatever_this_python_calls_it(error: OSError) -> None:
    assert "a listener without TLS does that" in in_handshake(error, TlsSettings(), "localhost", None)
