"""Whom permissions have to be granted to: as brokers know the client, where that can be known."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID as Oid

from klife import ProduceError, Record
from klife.actors.network.subject import subject_of
from klife.actors.transactions.outcome import Whose
from klife.actors.transactions.policy import Request, action_for
from klife.actors.transactions.state import State
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.produce import ProduceRequest
from klife.testing.cluster_users import unsecured_tokens
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, answer, refuse
from tests.support.scripted_sasl import ScriptedSasl
from tests.support.secured import broker_context, made_in

ORDER = Record(topic="orders", value=b"v")
USER = {"username": "klife", "password": "klife-secret"}
OPAQUE = "opaque-0123456789"


class Own:
    name = "PLAIN"

    def exchange(self, _host: str) -> Any:
        return self

    def start(self) -> bytes:
        return b"\0klife\0klife-secret"

    def answered(self, _challenge: bytes) -> None: ...


def refusals(start_client: Any, cluster: ScriptedCluster, **options: Any) -> list[str]:
    """What is said of a topic, and of the cluster, where each is denied."""
    cluster[1].always(ProduceRequest, refuse(29))
    told = []
    for _ in range(2):
        with pytest.raises(ProduceError) as denied:
            start_client(cluster, **options).produce(ORDER).get(PATIENCE)
        told.append(str(denied.value))
        cluster[1].always(InitProducerIdRequest, answer(InitProducerIdResponse(error_code=31)))
    return told


@pytest.mark.parametrize(
    ("sasl", "who"),
    [
        ({"mechanism": "PLAIN", **USER}, "User:klife"),
        ({"mechanism": "SCRAM-SHA-256", **USER}, "User:klife"),
        ({"mechanism": "OAUTHBEARER", "token_provider": unsecured_tokens("o,d={d}", 600)}, "User:o,d={d} (the sub of its token)"),
        (
            {"mechanism": "OAUTHBEARER", "token_provider": lambda: OPAQUE},
            "the principal of the client's token (the claim that the brokers' sasl.oauthbearer.sub.claim.name says)",
        ),
        ({"mechanism": Own()}, "whom SASL PLAIN authenticates"),
        (None, "User:ANONYMOUS (the client has no sasl and no certificate)"),
    ],
    ids=["PLAIN", "SCRAM", "a token", "a token that says nothing", "a mechanism of one's own", "nobody"],
)
def test_who_authenticates_by_sasl_is_named_with_operation_and_resource(start_client: Any, sasl: Any, who: str) -> None:
    class AnyToken(set[str]):
        def __contains__(self, _token: object) -> bool:
            return True

    mechanisms = ("PLAIN", "SCRAM-SHA-256", "OAUTHBEARER")
    brokers = {} if sasl is None else {"sasl": ScriptedSasl(mechanisms, tokens=AnyToken())}
    with ScriptedCluster(**brokers) as cluster:
        topic, whole = refusals(start_client, cluster, **({} if sasl is None else {"sasl": sasl}))
    assert f"; grant {who} Write on the topic (kafka-acls), or use another principal" in topic
    assert f"; grant {who} IdempotentWrite on the cluster (or Write on a topic)" in whole


def test_who_has_a_certificate_is_its_subject_where_that_can_be_read(start_client: Any, tmp_path: Path) -> None:
    certificates = made_in(tmp_path)
    files = certificates.client("orders, of the shop")
    context = ssl.create_default_context(cafile=certificates.ca_file)
    context.load_cert_chain(files["cert_file"], files["key_file"])
    with ScriptedCluster(tls=broker_context(certificates, wants_client=True)) as cluster:
        for tls, who in (
            ({"ca_file": certificates.ca_file, **files}, r"User:CN=orders\, of the shop (the subject of cert_file)"),
            (context, "the subject of the client's certificate (the SSLContext; without one User:ANONYMOUS)"),
        ):
            cluster[1].always(InitProducerIdRequest, None)
            topic, whole = refusals(start_client, cluster, tls=tls)
            assert f"; grant {who} Write on the topic" in topic
            assert f"; grant {who} IdempotentWrite on the cluster" in whole


@pytest.mark.parametrize("request_", [Request.FIND_COORDINATOR, Request.INIT_PRODUCER_ID])
def test_a_transactional_id_that_is_denied_is_told_the_same(request_: Request) -> None:
    rule = action_for(request_, 53, state=State.INITIALIZING, principal="User:{x}")
    told = str(Whose("money", "orders-3").refused(rule, 53))
    assert "Grant User:{x} Write on the transactional id (kafka-acls), or use another principal or base_txn_id" in told


# What Java's X500Principal.getName() says of these (tried with Java 17).
SUBJECTS = {
    r"CN=Ünï ﬁ,OU=\ two  spaces\ ,O=Shop\, Inc. \= \"x\" \<a\>\;\#\+\\,C=DE": [
        [(Oid.COUNTRY_NAME, "DE")],
        [(Oid.ORGANIZATION_NAME, 'Shop, Inc. = "x" <a>;#+\\')],
        [(Oid.ORGANIZATIONAL_UNIT_NAME, " two  spaces ")],
        [(Oid.COMMON_NAME, "Ünï \N{LATIN SMALL LIGATURE FI}")],
    ],
    "STREET=S 1,L=M,ST=BY,DC=example,UID=u": [
        [(Oid.USER_ID, "u")],
        [(Oid.DOMAIN_COMPONENT, "example")],
        [(Oid.STATE_OR_PROVINCE_NAME, "BY")],
        [(Oid.LOCALITY_NAME, "M")],
        [(Oid.STREET_ADDRESS, "S 1")],
    ],
    "2.5.4.42=#0c024769,1.2.840.113549.1.9.1=#160b6140622e6578616d706c65": [
        [(Oid.EMAIL_ADDRESS, "a@b.example")],
        [(Oid.GIVEN_NAME, "Gi")],
    ],
    "O=o,CN=a+UID=b": [[(Oid.COMMON_NAME, "a"), (Oid.USER_ID, "b")], [(Oid.ORGANIZATION_NAME, "o")]],
}


def certificate(parts: Any) -> bytes:
    name = x509.Name([x509.RelativeDistinguishedName([x509.NameAttribute(*each) for each in part]) for part in parts])
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_is_written_as_kafka_writes_it(subject: str) -> None:
    assert subject_of(b"words before it\n" + certificate(SUBJECTS[subject])) == subject


def test_what_is_no_certificate_has_no_subject() -> None:
    whole = certificate([[(Oid.COMMON_NAME, "a")]])
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    assert subject_of(b"") is None
    for size in range(4, 200, 4):  # of base64
        body = whole.split(begin)[1].split(end)[0].replace(b"\n", b"")[:size]
        assert subject_of(begin + body + end) is None
