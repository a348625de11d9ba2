"""librdkafka on a secure listener: the same options as klife's, in its own words; and a record there and back."""

from __future__ import annotations

import functools
import time
from typing import Any

from confluent_kafka import Producer
from gevent import get_hub

CALL_SECONDS = 20.0


def librdkafka_options(servers: str, tls: dict[str, Any] | None = None, sasl: dict[str, Any] | None = None) -> dict[str, Any]:
    """What librdkafka takes for klife's options `tls` and `sasl`, as the cluster gives them."""
    protocol = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
    found: dict[str, Any] = {"bootstrap.servers": servers, "security.protocol": protocol, "log_level": 0}
    names = {
        "ca_file": "ssl.ca.location",
        "cert_file": "ssl.certificate.location",
        "key_file": "ssl.key.location",
        "key_password": "ssl.key.password",
    }
    found |= {names[name]: value for name, value in (tls or {}).items()}
    if sasl:
        found["sasl.mechanism"] = sasl["mechanism"]
        if "username" in sasl:
            found |= {"sasl.username": sasl["username"], "sasl.password": sasl["password"]}
        else:
            found["oauth_cb"] = functools.partial(_token, sasl["token_provider"])
    return found


def produced_by_librdkafka(options: dict[str, Any], topic: str, value: bytes) -> str | None:
    """Produce a record; None, or what librdkafka says of it or of its connections."""
    said: str | None = get_hub().threadpool.apply(_produce, (options, topic, value))
    return said


def _token(provider: Any, _config: object) -> tuple[str, float]:
    return provider(), time.time() + 60


def _produce(options: dict[str, Any], topic: str, value: bytes) -> str | None:
    told: list[str | None] = []
    errors: list[str] = []
    producer = Producer(
        {**options, "error_cb": lambda error: errors.append(str(error)), "message.timeout.ms": int(CALL_SECONDS * 1000)}
    )
    producer.produce(topic, value, on_delivery=lambda error, message: told.append(None if error is None else str(error)))
    while not told and not errors:
        producer.poll(0.1)
    producer.purge()
    return next(iter(told), None) if not errors else errors[0]
