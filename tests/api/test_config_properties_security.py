"""`ClientConfig.from_properties`: files as providers give them, and Java's and librdkafka's names of security."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from klife.api.config import ClientConfig, SaslConfig, TlsConfig
from klife.api.config.jaas import parse_jaas
from klife.api.config.kafka_names import NO_EQUIVALENT, PASSED_OVER, kafka_names
from klife.api.config.properties_file import parse_properties
from klife.api.config.security_properties import SECURITY_NAMES
from klife.errors import ConfigError
from klife.oidc import ClientCredentials

BROKER = {"bootstrap.servers": "localhost:9092"}
SSL = {"security.protocol": "SSL"}
SASL_SSL = {"security.protocol": "SASL_SSL"}
PLAIN = SASL_SSL | {"sasl.mechanism": "PLAIN"}
OAUTH = SASL_SSL | {"sasl.mechanism": "OAUTHBEARER"}
SECRET = "hunter2"
USER = {"sasl.username": "u", "sasl.password": SECRET}
URL = "https://idp.example/token"
PLAIN_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
OAUTH_MODULE = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


def problems(properties: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.from_properties(BROKER | properties)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return list(caught.value.problems)


def read(file: str, folder: Path) -> ClientConfig:
    path = folder / "client.properties"
    path.write_text(file)
    return ClientConfig.from_properties(path)


CONFLUENT_CLOUD_JAVA = """
# Required connection configs for Kafka producer, consumer, and admin
bootstrap.servers=pkc-4r087.us-west2.gcp.confluent.cloud:9092
security.protocol=SASL_SSL
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username='ABCDEFGH' password='s3cr3t/+';
sasl.mechanism=PLAIN
# Required for correctness in Apache Kafka clients prior to 2.6
client.dns.lookup=use_all_dns_ips

# Best practice for higher availability in Apache Kafka clients prior to 3.0
session.timeout.ms=45000

# Best practice for Kafka producer to prevent data loss
acks=all

# Required connection configs for Confluent Cloud Schema Registry
schema.registry.url=https://psrc-1.us-west2.gcp.confluent.cloud
basic.auth.credentials.source=USER_INFO
basic.auth.user.info=SRKEY:SRSECRET
"""
CONFLUENT_CLOUD_PYTHON = """
bootstrap.servers=pkc-4r087.us-west2.gcp.confluent.cloud:9092
security.protocol=SASL_SSL
sasl.mechanisms=PLAIN
sasl.username=ABCDEFGH
sasl.password=s3cr3t/+

# Best practice for higher availability in librdkafka clients prior to 1.7
session.timeout.ms=45000

client.id=ccloud-python-client-0b1c
"""


@pytest.mark.parametrize("file", [CONFLUENT_CLOUD_JAVA, CONFLUENT_CLOUD_PYTHON])
def test_a_file_of_confluent_cloud_is_taken_as_it_is(file: str, tmp_path: Path) -> None:
    config = read(file, tmp_path)
    assert config.bootstrap_servers == ("pkc-4r087.us-west2.gcp.confluent.cloud:9092",)
    assert config.tls is True
    assert config.sasl == SaslConfig(mechanism="PLAIN", username="ABCDEFGH", password="s3cr3t/+")


def test_a_file_for_strimzi_is_taken_as_it_is(tmp_path: Path) -> None:
    scram = """
bootstrap.servers = my-cluster-kafka-bootstrap:9093
security.protocol = SASL_SSL
sasl.mechanism = SCRAM-SHA-512
sasl.jaas.config = org.apache.kafka.common.security.scram.ScramLoginModule required \\
    username="my-user" \\
    password="c1\\\\"=;x";
ssl.truststore.type = PEM
ssl.truststore.location = /etc/kafka/ca.crt
ssl.endpoint.identification.algorithm = HTTPS
"""
    config = read(scram, tmp_path)
    assert config.tls == TlsConfig(ca_file="/etc/kafka/ca.crt")
    assert config.sasl == SaslConfig(mechanism="SCRAM-SHA-512", username="my-user", password='c1"=;x')

    mutual = """
bootstrap.servers=my-cluster-kafka-bootstrap:9093
security.protocol=SSL
ssl.truststore.type=PEM
ssl.truststore.location=/etc/kafka/ca.crt
ssl.keystore.type=PEM
ssl.keystore.location=/etc/kafka/user.pem
ssl.key.password=hunter2
ssl.enabled.protocols=TLSv1.3,TLSv1.2
ssl.protocol=TLSv1.3
"""
    config = read(mutual, tmp_path)
    assert config.tls == TlsConfig(ca_file="/etc/kafka/ca.crt", cert_file="/etc/kafka/user.pem", key_password="hunter2")
    assert config.sasl is None


def test_a_file_for_azures_event_hubs_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=abc="
    config = read(
        f"""
bootstrap.servers=ns.servicebus.windows.net:9093
security.protocol=SASL_SSL
sasl.mechanism=PLAIN
sasl.jaas.config={PLAIN_MODULE} required username="$ConnectionString" password="{text}";
""",
        tmp_path,
    )
    assert config.sasl == SaslConfig(mechanism="PLAIN", username="$ConnectionString", password=text)


def test_librdkafkas_names_of_files_are_taken() -> None:
    config = ClientConfig.from_properties(
        BROKER
        | {"security.protocol": "ssl", "ssl.ca.location": Path("/ca.pem"), "ssl.certificate.location": " /c.pem "}
        | {"ssl.key.location": "/k.pem", "ssl.key.password": SECRET, "enable.ssl.certificate.verification": "True"}
    )
    assert config.tls == TlsConfig(ca_file="/ca.pem", cert_file="/c.pem", key_file="/k.pem", key_password=SECRET)


def test_what_is_empty_is_not_given() -> None:
    empty = {
        "ssl.ca.location": "",
        "ssl.key.password": "",
        "ssl.truststore.location": "",
        "sasl.username": "",
        "sasl.jaas.config": None,
    }
    assert ClientConfig.from_properties(BROKER | SSL | {name: "" for name in empty if name.startswith("ssl")}).tls is True
    assert len(problems(PLAIN | empty)) == 2  # user and password
    assert ClientConfig.from_properties(BROKER | SSL | {"ssl.ca.location": "probe"}).tls is True


@pytest.mark.parametrize(("value", "checked"), [("https", True), (" HTTPS", True), ("", False), ("none", False), ("None", False)])
def test_the_check_of_the_name_is_turned_off_by_these_words_alone(value: str, checked: bool) -> None:
    tls = ClientConfig.from_properties(BROKER | SSL | {"ssl.endpoint.identification.algorithm": value}).tls
    assert tls is checked or tls == TlsConfig(check_hostname=checked)


@pytest.mark.parametrize(
    "properties",
    [
        {"sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": "id", "sasl.oauthbearer.client.secret": SECRET}
        | {"sasl.oauthbearer.token.endpoint.url": URL, "sasl.oauthbearer.scope": "kafka"}
        | {"sasl.oauthbearer.extensions": "logicalCluster=lkc-1, identityPoolId=pool-1"},
        {"sasl.oauthbearer.client.credentials.client.id": "id", "sasl.oauthbearer.client.credentials.client.secret": SECRET}
        | {"sasl.oauthbearer.token.endpoint.url": URL, "sasl.oauthbearer.scope": "kafka"}
        | {"sasl.jaas.config": f"{OAUTH_MODULE} required extension_logicalCluster='lkc-1' extension_identityPoolId='pool-1';"},
        {
            "sasl.login.callback.handler.class": "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler",
            "sasl.oauthbearer.token.endpoint.url": URL,
            "sasl.jaas.config": f"{OAUTH_MODULE} required clientId='id' clientSecret='{SECRET}' scope='kafka' "
            "extension_logicalCluster='lkc-1' extension_identityPoolId='pool-1';",
        },
        {
            "sasl.login.callback.handler.class": "io.strimzi.kafka.oauth.client.JaasClientOauthLoginCallbackHandler",
            "sasl.jaas.config": f'{OAUTH_MODULE} required oauth.client.id="id" oauth.client.secret="{SECRET}" oauth.scope="kafka" '
            f'oauth.token.endpoint.uri="{URL}" extension_logicalCluster="lkc-1" extension_identityPoolId="pool-1";',
        },
    ],
    ids=["librdkafka", "java 4.1", "java", "strimzi"],
)
def test_an_oidc_server_becomes_a_token_provider(properties: dict[str, str]) -> None:
    config = ClientConfig.from_properties(BROKER | OAUTH | properties)
    assert config.sasl is not None
    extensions = {"logicalCluster": "lkc-1", "identityPoolId": "pool-1"}
    assert config.sasl.token_provider == ClientCredentials(URL, "id", SECRET, "kafka", extensions=extensions)
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        (
            SSL | {"ssl.truststore.location": "/t.jks", "ssl.truststore.password": SECRET},
            ["JKS or PKCS12", "keytool -list -rfc", "/t.jks"],
        ),
        (SSL | {"ssl.truststore.location": "/t.jks"}, ["ssl.truststore.location", "ssl.truststore.type=PEM", "ssl.ca.location=ca.pem"]),
        (
            SSL | {"ssl.truststore.location": "/t.p12", "ssl.truststore.type": "PKCS12"},
            ["openssl pkcs12 -in /t.p12 -nokeys -out ca.pem"],
        ),
        (
            SSL | {"ssl.keystore.location": "/k.jks", "ssl.keystore.type": "JKS", "ssl.keystore.password": SECRET},
            ["a JKS store", "keytool -importkeystore -srckeystore /k.jks", "openssl pkcs12 -in client.p12 -out client.pem"],
        ),
        (
            SSL | {"ssl.keystore.location": "/k.p12"},
            ["openssl pkcs12 -in /k.p12 -out client.pem", "ssl.certificate.location=client.pem"],
        ),
        (
            SSL | {"ssl.keystore.location": "/k.pem", "ssl.keystore.type": "PEM", "ssl.keystore.password": SECRET},
            ["ssl.keystore.password", "leave it out", "ssl.key.password"],
        ),
        (SSL | {"ssl.truststore.password": SECRET}, ["ssl.truststore.password", "without ssl.truststore.location"]),
        (
            SSL | {"ssl.truststore.certificates": f"-----BEGIN {SECRET}"},
            ["ssl.truststore.certificates", "give that as ssl.ca.location"],
        ),
        (SSL | {"ssl.key.pem": f"-----BEGIN {SECRET}"}, ["ssl.key.pem", "give that as ssl.key.location"]),
        (
            SSL | {"ssl.ca.location": "/a", "ssl.truststore.location": "/b", "ssl.truststore.type": "PEM"},
            ["ssl.truststore.location", "the same as ssl.ca.location"],
        ),
        (SSL | {"ssl.key.location": "/k.pem"}, ["tls.key_file (given as ssl.key.location)", "without cert_file"]),
        (SSL | {"ssl.endpoint.identification.algorithm": "htps"}, ["ssl.endpoint.identification.algorithm", "'htps'", '"none"']),
        (SSL | {"enable.ssl.certificate.verification": "false"}, ["always verified", "ssl.ca.location"]),
        (SSL | {"ssl.enabled.protocols": "TLSv1.2"}, ["ssl.enabled.protocols", "1.2 and 1.3", "ssl.SSLContext"]),
        (SSL | {"ssl.protocol": "TLSv1.1"}, ["ssl.protocol", "1.2 and 1.3"]),
        (SSL | {"ssl.cipher.suites": "x"}, ["ssl.cipher.suites", "no equivalent", "ssl.SSLContext"]),
        (SSL | {"ssl.ca.locaton": "/x"}, ["did you mean ssl.ca.location?"]),
        ({"security.protocol": "TLS"}, ["security.protocol", "'TLS'", "PLAINTEXT, SSL"]),
        ({"ssl.ca.location": "/ca.pem"}, ["ssl.ca.location: has no effect without security.protocol; give SSL"]),
        (USER, ["sasl.username, sasl.password: have no effect without security.protocol; give SASL_SSL"]),
        (SSL | USER, ["sasl.username, sasl.password: have no effect with security.protocol SSL"]),
        (
            {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "ssl.ca.location": "/x"} | USER,
            ["ssl.ca.location: has no"],
        ),
        (SASL_SSL, ["sasl.mechanism (given as security.protocol): missing", "'PLAIN'"]),
        (PLAIN | USER | {"sasl.mechanisms": "SCRAM-SHA-256"}, ["sasl.mechanisms", "the same as sasl.mechanism"]),
        (SASL_SSL | {"sasl.mechanism": "GSSAPI", "sasl.kerberos.service.name": "kafka"}, ["Kerberos"]),
        (
            SASL_SSL
            | {"sasl.mechanism": "AWS_MSK_IAM", "sasl.jaas.config": "software.amazon.msk.auth.iam.IAMLoginModule required;"}
            | {"sasl.client.callback.handler.class": "software.amazon.msk.auth.iam.IAMClientCallbackHandler"},
            ["sasl.mechanism", "'AWS_MSK_IAM'", "Amazon's signer", "docs/security.md"],
        ),
        (OAUTH, ["sasl.token_provider (given as security.protocol): missing"]),
        (OAUTH | {"sasl.jaas.config": f"{OAUTH_MODULE} required unsecuredLoginStringClaim_sub='x';"}, ["unsecured"]),
        (OAUTH | {"sasl.login.callback.handler.class": "com.example.Mine"}, ["sasl.login.callback.handler.class", "token_provider"]),
        (
            OAUTH | {"sasl.oauthbearer.token.endpoint.url": URL, "sasl.oauthbearer.client.id": "x"},
            ["sasl.oauthbearer.client.secret: missing"],
        ),
        (
            OAUTH
            | {"sasl.oauthbearer.token.endpoint.url": "http://idp.example", "sasl.oauthbearer.client.id": "x"}
            | {"sasl.oauthbearer.client.secret": SECRET},
            ["sasl.oauthbearer.token.endpoint.url: ", "give https"],
        ),
        (OAUTH | {"sasl.oauthbearer.extensions": SECRET}, ["sasl.oauthbearer.extensions: expected name=value"]),
    ],
    ids=repr,
)
def test_what_cannot_be_taken_says_what_to_do(properties: dict[str, Any], says: list[str]) -> None:
    found = problems(properties)
    assert any(all(part in problem for part in says) for problem in found), found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a login module's class"),
        (PLAIN_MODULE, "'required'"),
        (f"{PLAIN_MODULE} username='u';", "'required'"),
        (f"{PLAIN_MODULE} required username='u' password='{SECRET}'", "';' at the end"),
        (f"{PLAIN_MODULE} required password='{SECRET};", "a quote is not closed"),
        (f"{PLAIN_MODULE} required password={SECRET};{SECRET};", "more behind the ';'"),
        (f"{PLAIN_MODULE} required password {SECRET};", "expected '=' and a value"),
        (f"{PLAIN_MODULE} required password=;", "a value, in double quotes"),
        (f"com.example.{SECRET} required;", "does not know its login module"),
        ("org.apache.kafka.common.security.scram.ScramLoginModule required username='u';", "is for SCRAM-SHA-256 and SCRAM-SHA-512"),
    ],
)
def test_a_login_module_that_cannot_be_read_is_told_without_its_text(text: str, says: str) -> None:
    found = problems(PLAIN | {"sasl.jaas.config": text or " "})
    assert [problem for problem in found if problem.startswith("sasl.jaas.config: ") and says in problem], found


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("""M required a="x y" b='it"s' c=plain-1_2;""", {"a": "x y", "b": 'it"s', "c": "plain-1_2"}),
        (r"""M required a="q\"b\\s\141\n";""", {"a": 'q"b\\sa\n'}),
        ("M required // a comment\n /* and = ; */ a='1' ; ", {"a": "1"}),
        ("M REQUIRED a = '1';", {"a": "1"}),
        ("M required;", {}),
        ("M required a='1' a='2';", {"a": "2"}),
    ],
)
def test_a_login_module_is_read_as_java_reads_it(text: str, options: dict[str, str]) -> None:
    assert parse_jaas(f"some.package.{text}") == ("M", options)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a=b", {"a": "b"}),
        ("a : b\n\tc d = e\n", {"a": "b", "c": "d = e"}),
        ("# a=1\n  ! b=2\n\nc=3", {"c": "3"}),
        ("a=1\\\n   2\\\r\n3", {"a": "123"}),
        ("# no continuation \\\na=1", {"a": "1"}),
        ("a=1\\\\\nb=2", {"a": "1\\", "b": "2"}),
        ("a\\=b\\:\\ c=d", {"a=b: c": "d"}),
        ("a=\\u00e9\\t\\x", {"a": "é\tx"}),
        ("a=#1 !2", {"a": "#1 !2"}),
        ("a", {"a": ""}),
        ("a=1\na=2", {"a": "2"}),
        ("a=1\\", {"a": "1"}),
        ("\\\n#a=1\nb=2", {"b": "2"}),
        ("", {}),
    ],
    ids=repr,
)
def test_a_properties_file_is_read_as_java_reads_it(text: str, read: dict[str, str]) -> None:
    assert parse_properties(text) == read


def test_a_file_is_utf8_or_else_latin1(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "latin-1"):
        path = tmp_path / encoding
        path.write_bytes("bootstrap.servers=a:1\nclient.id=é".encode(encoding))
        assert ClientConfig.from_properties(str(path)).client_id == "é"


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    binary = tmp_path / "store.jks"
    binary.write_bytes(b"\xfe\xed\0\0")
    for path, says in ((tmp_path / "missing", "No such file"), (tmp_path, "Is a directory"), (binary, "is no properties file")):
        with pytest.raises(ConfigError) as caught:
            ClientConfig.from_properties(path)
        [problem] = caught.value.problems
        assert str(path) in problem
        assert says in problem
    with pytest.raises(ConfigError, match="the properties are int, expected a dict, or the path of a file"):
        ClientConfig.from_properties(5)  # type: ignore[arg-type]


def test_each_name_of_security_is_answered_in_one_way() -> None:
    marked = {name for name, known in kafka_names(ClientConfig).items() if known.inner is not None}
    assert marked <= SECURITY_NAMES
    assert not SECURITY_NAMES & (NO_EQUIVALENT.keys() | PASSED_OVER.keys())


def test_what_a_provider_adds_for_others_is_passed_over_and_no_other_value() -> None:
    assert ClientConfig.from_properties(BROKER | {"client.dns.lookup": "use_all_dns_ips", "schema.registry.url": "https://x"})
    assert "all addresses" in problems({"client.dns.lookup": "resolve_canonical_bootstrap_servers_only"})[0]
