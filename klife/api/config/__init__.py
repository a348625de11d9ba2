"""All options of a client: the table of them, what checks a configuration, and the sources one is read from.

- `plain`: configurations that need nothing of the following
- `options`: the table; a row says name, type, range, default, unit, meaning and Kafka's names of an option
- `option_types`: what single options take, and the words for it
- `model`: `ClientConfig`, built from keywords, a dict, Kafka's dotted names or the environment
- `security_checks`: what must hold within tls and within sasl
- `checks`: what must hold between options, and which are refused because their feature is not there yet
- `base`, `messages`: how a model fails, and in which words
- `kafka_names`, `properties`, `environment`, `text`: names and text of other worlds
- `security_properties`, with `security_stores`, `security_login` and `jaas`: the same for TLS and SASL
- `from_clients`: what other clients take, with their defaults
- `properties_file`: Java's properties files

The models are imported by the first one that is made, for they need pydantic (see `plain`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from klife.api.config.model import ClientConfig
    from klife.api.config.options import CLIENT_ID_PATTERN, ProducerConfig, SaslConfig, TlsConfig, TopicConfig, TxnPoolConfig
    from klife.api.config.plain import DEFAULT_PRODUCER_NAME

__all__ = [
    "CLIENT_ID_PATTERN",
    "DEFAULT_PRODUCER_NAME",
    "ClientConfig",
    "ProducerConfig",
    "SaslConfig",
    "TlsConfig",
    "TopicConfig",
    "TxnPoolConfig",
]
_ELSEWHERE = {"ClientConfig": "model", "DEFAULT_PRODUCER_NAME": "plain"}  # all others are among the options


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'options')}"), name)
    return found
