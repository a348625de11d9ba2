"""Kafka's dotted option names, Java's and librdkafka's: what each is here, and what to do about those that
have no equivalent.

The names of options stand in the table (`options`); the rest is facts of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from klife.api.config.option_types import Kafka, is_list, model_in

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


class KafkaName(NamedTuple):
    """`option` is klife's name; `inner` the setting inside it, for tls and sasl; `factor` turns its unit into
    ours.
    """

    option: str
    inner: str | None
    factor: int


@cache
def kafka_names(model: type[BaseModel]) -> Mapping[str, KafkaName]:
    """Kafka's names of the model's options, and of the settings inside those that are models themselves."""
    found: dict[str, KafkaName] = {}
    for option, field in model.model_fields.items():
        found |= {name: KafkaName(option, None, factor) for name, factor in _marked(field)}
        inner = model_in(field.annotation)
        if inner is not None and not is_list(field.annotation):
            for setting, of_inner in inner.model_fields.items():
                found |= {name: KafkaName(option, setting, factor) for name, factor in _marked(of_inner)}
    return found


def _marked(field: FieldInfo) -> Iterator[tuple[str, int]]:
    for mark in field.metadata:
        if isinstance(mark, Kafka):
            yield from ((name, mark.factor) for name in mark.names)


# Java's levels name their codec and count only when compression.type is that codec (KIP-390).
LEVEL_OF_CODEC: Final = {"compression.gzip.level": "gzip", "compression.lz4.level": "lz4", "compression.zstd.level": "zstd"}

# librdkafka's partitioners. Its plain "murmur2" and "consistent" send all key-less records to one partition,
# the "_random" ones spread them; klife always spreads them, and keys land on the same partitions either way.
PARTITIONERS: Final = {
    "murmur2": "murmur2",
    "murmur2_random": "murmur2",
    "consistent": "crc32",
    "consistent_random": "crc32",
    "random": "random",
}

# Of no concern to klife, and in the files that providers give to be copied. For some only these values are.
PASSED_OVER: Final[dict[str, tuple[str, ...]]] = {
    "client.dns.lookup": ("use_all_dns_ips", "default"),
    "api.version.request": ("true",),
    "broker.address.family": ("any",),
    "topic.metadata.refresh.sparse": (),
    "topic.metadata.refresh.fast.interval.ms": (),
    "topic.metadata.refresh.fast.cnt": (),
    "log.connection.close": (),
    "log.thread.name": (),
    "enable.random.seed": (),
    "enable.metrics.push": (),  # KIP-714: brokers that want it can do without
    "client.rack": (),  # a consumer's, as is the next
    "session.timeout.ms": (),
    "schema.registry.url": (),
    "basic.auth.credentials.source": (),
    "basic.auth.user.info": (),
    "schema.registry.basic.auth.credentials.source": (),
    "schema.registry.basic.auth.user.info": (),
}

_BYTES = "it names a Java class; records are bytes here, unless their topic has a serializer: TopicConfig(name=..., {option}=...)"
_UNTIL = "a record is retried until its delivery_timeout_ms; set delivery.timeout.ms"
_TXN = "transactional producers come in pools (txn_pools), not by a setting of the client"
_CONTEXT = "make an ssl.SSLContext that is so, and give it as the option tls"
_KERBEROS = "klife has no Kerberos; use another of the mechanisms your brokers offer"
_RENEWED = "sessions and tokens are renewed ahead of their end by themselves; leave it out"
_TOKEN_PROVIDER = "give a token_provider in the option sasl"
_OF_JAVA = "it is about Java's own TLS; leave it out"
_CALLBACK = "a result comes by Delivery.get() or by the callback of produce_async"
_CONSUMER = "it is a consumer's setting, and this is a producer"
_LOGS = "klife logs through `logging`, to the loggers `klife.*`; set levels there"
_BUFFER_BYTES = "what waits is bounded in bytes; set buffer.memory"
_SOCKET = "give it as a socket option: socket_options=[(level, option, value)]"
_VERSIONS = "a broker is asked for the versions it speaks; leave it out"
_OF_C = "it is for programs in C; leave it out"
_BROKERS_TOKEN = "a token is the broker's to read; leave it out"
_ASSERTION = "client credentials are the one grant there is; for others give a token_provider in the option sasl"
_REBOOTSTRAP = "when no known broker answers the bootstrap list is always asked again"
_STICKS = "key-less records stick to a partition per batch; leave it out"
_ORDER = "order is always kept; leave it out"
_ADDRESSES = "all addresses of a name are tried, in turn; leave it out"
_STATUS = "numbers about the client are in Client.status()"

NO_EQUIVALENT: Final[dict[str, str]] = {
    "key.serializer": _BYTES.format(option="key_serializer"),
    "value.serializer": _BYTES.format(option="value_serializer"),
    "retries": _UNTIL,
    "message.send.max.retries": _UNTIL,
    "transactional.id": _TXN,
    "transaction.timeout.ms": _TXN,
    "partitioner.class": 'it names a Java class; give default_partitioner="murmur2" (as Java), another name or a klife.Partitioner',
    "partitioner.ignore.keys": "give a klife.Partitioner as default_partitioner",
    "partitioner.adaptive.partitioning.enable": _STICKS,
    "max.request.size": "a request to a broker is bounded by batch_size_bytes, and a record by the broker's own limit",
    "message.max.bytes": "a request to a broker is bounded by batch_size_bytes, and a record by the broker's own limit",
    "batch.num.messages": "batches are bounded in bytes; set batch_size_bytes",
    "queue.buffering.max.messages": _BUFFER_BYTES,
    "queue.buffering.backpressure.threshold": "batches form while earlier requests are unanswered; leave it out",
    "enable.gapless.guarantee": _ORDER,
    "send.buffer.bytes": _SOCKET,
    "receive.buffer.bytes": _SOCKET,
    "socket.send.buffer.bytes": _SOCKET,
    "socket.receive.buffer.bytes": _SOCKET,
    "socket.keepalive.enable": "keepalive is always on; to turn it off give socket_options=[(SOL_SOCKET, SO_KEEPALIVE, 0)]",
    "socket.nagle.disable": "Nagle's algorithm is always off",
    "socket.timeout.ms": "set request.timeout.ms",
    "socket.connection.setup.timeout.max.ms": "the time to connect does not grow; set socket.connection.setup.timeout.ms",
    "metadata.max.idle.ms": "topics stay known while the client runs",
    "metadata.recovery.strategy": _REBOOTSTRAP,
    "interceptor.classes": _CALLBACK,
    "delivery.report.only.error": _CALLBACK,
    "dr_cb": _CALLBACK,
    "dr_msg_cb": _CALLBACK,
    **dict.fromkeys(
        ("metric.reporters", "metrics.num.samples", "metrics.recording.level", "metrics.sample.window.ms", "auto.include.jmx.reporter"),
        _STATUS,
    ),
    "statistics.interval.ms": _STATUS,
    "debug": _LOGS,
    "log_level": _LOGS,
    "group.id": _CONSUMER,
    "auto.offset.reset": _CONSUMER,
    "enable.auto.commit": _CONSUMER,
    "key.deserializer": _CONSUMER,
    "value.deserializer": _CONSUMER,
    "max.poll.records": _CONSUMER,
    "client.dns.lookup": _ADDRESSES,
    "ssl.cipher.suites": _CONTEXT,
    "ssl.curves.list": _CONTEXT,
    "ssl.sigalgs.list": _CONTEXT,
    "ssl.crl.location": _CONTEXT,
    "ssl.engine.factory.class": _CONTEXT,
    "ssl.engine.location": _CONTEXT,
    "ssl.ca.certificate.stores": _CONTEXT,
    "ssl.certificate.verify_cb": _CONTEXT,
    "ssl.provider": _OF_JAVA,
    "ssl.keymanager.algorithm": _OF_JAVA,
    "ssl.trustmanager.algorithm": _OF_JAVA,
    "ssl.secure.random.implementation": _OF_JAVA,
    "sasl.kerberos.service.name": _KERBEROS,
    "sasl.kerberos.principal": _KERBEROS,
    "sasl.kerberos.keytab": _KERBEROS,
    "sasl.kerberos.kinit.cmd": _KERBEROS,
    "sasl.login.refresh.window.factor": _RENEWED,
    "sasl.login.refresh.window.jitter": _RENEWED,
    "sasl.login.refresh.min.period.seconds": _RENEWED,
    "sasl.login.refresh.buffer.seconds": _RENEWED,
    "sasl.login.class": _TOKEN_PROVIDER,
    "sasl.login.connect.timeout.ms": "klife.oidc.ClientCredentials has a timeout; leave it out",
    "sasl.login.read.timeout.ms": "klife.oidc.ClientCredentials has a timeout; leave it out",
    "sasl.oauthbearer.config": _TOKEN_PROVIDER,
    **{
        f"sasl.oauthbearer.assertion.{of_one}": _ASSERTION
        for of_one in (
            *("file", "algorithm", "private.key.file", "private.key.passphrase", "private.key.pem", "jwt.template.file", "claim.aud"),
            *("claim.exp.seconds", "claim.iss", "claim.jti.include", "claim.nbf.seconds", "claim.sub"),
        )
    },
    "sasl.oauthbearer.grant.type": _ASSERTION,
    "sasl.oauthbearer.metadata.authentication.type": _TOKEN_PROVIDER,
    "enable.sasl.oauthbearer.unsecure.jwt": "unsecured tokens are for tests; give a token_provider that makes them",
    "oauth_cb": _TOKEN_PROVIDER,
    "oauthbearer_token_refresh_cb": _TOKEN_PROVIDER,
    "sasl.kerberos.min.time.before.relogin": _KERBEROS,
    "sasl.kerberos.ticket.renew.jitter": _KERBEROS,
    "sasl.kerberos.ticket.renew.window.factor": _KERBEROS,
    "sasl.login.retry.backoff.ms": _RENEWED,
    "sasl.login.retry.backoff.max.ms": _RENEWED,
    **{
        f"sasl.oauthbearer.{of_one}": _BROKERS_TOKEN
        for of_one in (
            *("jwks.endpoint.url", "jwks.endpoint.refresh.ms", "jwks.endpoint.retry.backoff.ms", "jwks.endpoint.retry.backoff.max.ms"),
            *("clock.skew.seconds", "expected.audience", "expected.issuer"),
            *("scope.claim.name", "sub.claim.name", "jwt.validator.class"),
        )
    },
    "sasl.oauthbearer.header.urlencode": "a client's id and secret are sent as RFC 6749 has them; leave it out",
    "security.providers": _OF_JAVA,
    "config.providers": "read what is kept elsewhere before, and give the values",
    "transaction.two.phase.commit.enable": _TXN,
    "partitioner.availability.timeout.ms": "key-less records go to partitions whose brokers answer, by themselves; leave it out",
    "https.ca.pem": "put the certificates into a file, and give https.ca.location",
    "ssl.providers": _CONTEXT,
    "ssl.engine.id": _CONTEXT,
    **dict.fromkeys(("ssl_key", "ssl_certificate", "ssl_ca", "ssl_engine_callback_data"), _CONTEXT),
    **dict.fromkeys(
        (
            *("background_event_cb", "socket_cb", "connect_cb", "closesocket_cb", "open_cb", "opaque", "default_topic_conf"),
            *("enabled_events", "internal.termination.signal", "interceptors", "plugin.library.paths", "msg_order_cmp", "log.queue"),
        ),
        _OF_C,
    ),
    "resolve_cb": "names are looked up by gevent's resolver (GEVENT_RESOLVER)",
    **dict.fromkeys(
        ("api.version.request", "api.version.request.timeout.ms", "api.version.fallback.ms", "broker.version.fallback"), _VERSIONS
    ),
    "builtin.features": "it can only be read; leave it out",
    "broker.address.family": _ADDRESSES,
    "broker.address.ttl": "a name is looked up for each connection; leave it out",
    "topic.blacklist": "topics are those that the program produces to; leave it out",
    "message.copy.max.bytes": "small values are copied and large ones are not, by themselves; leave it out",
    "metadata.recovery.rebootstrap.trigger.ms": _REBOOTSTRAP,
    "socket.blocking.max.ms": "nothing blocks; leave it out",
    "reconnect.backoff.jitter.ms": "backoffs have a fifth of jitter; leave it out",
    "sticky.partitioning.linger.ms": _STICKS,
    "queuing.strategy": _ORDER,
    "produce.offset.report": "a result always has its offset; leave it out",
}
