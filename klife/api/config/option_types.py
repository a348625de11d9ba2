"""The types of the options: what a field takes, checked strictly, and the words that say so in an error.

Pydantic's strict mode keeps Python values as they are (no "5" for 5, no True for 1). What it cannot say in a
type is here as small functions that raise `ValueError` with what to do about it; `Expected` carries the other
half of the message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainValidator, SecretStr

from klife.api.config.addresses import split_address
from klife.coroutines import is_coroutine_function
from klife.partitioner import Partitioner
from klife.protocol.primitives import INT32_MAX
from klife.protocol.sasl.mechanism import Mechanism
from klife.serializer import Serializer, takes_context
from klife.topic_name import is_legal_topic

INT64_MAX = 2**63 - 1


@dataclass(frozen=True)
class Expected:
    """What an option takes, in words; read by `messages`."""

    words: str


class Kafka:
    """What Java's client, librdkafka, or both call an option. `factor` turns their unit into ours."""

    def __init__(self, *names: str, factor: int = 1) -> None:
        self.names = names
        self.factor = factor


PartitionerName = Literal["murmur2", "phash2", "crc32", "random"]
PARTITIONER_NAMES: tuple[PartitionerName, ...] = get_args(PartitionerName)


def _sequence(value: object) -> object:
    """Take a list where a tuple is stored; anything else is left for the type check to refuse."""
    return tuple(value) if isinstance(value, list) else value


def _set_as_tuple(value: object) -> object:
    return tuple(sorted(value, key=str)) if isinstance(value, set | frozenset) else _sequence(value)


def _split_addresses(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    return _sequence(value)


def _not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("name at least one broker")
    return value


_LISTENER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9_]*)://(?P<rest>.*)", re.DOTALL)


def _address(value: str) -> str:
    listener = _LISTENER.fullmatch(value)
    if listener:
        scheme, value = listener["scheme"].upper(), listener["rest"]
        if scheme in ("SSL", "SASL_SSL", "SASL_PLAINTEXT"):
            raise ValueError("leave the protocol out of the address; it is chosen by the options tls and sasl")
        if scheme != "PLAINTEXT":
            raise ValueError("leave the protocol out of the address; it is host:port")
    split_address(value)
    return value


def _acks(value: object) -> object:
    # Kafka writes "all replicas in sync" as -1 on the wire, and both Java and librdkafka take that number for
    # it.
    if type(value) not in (int, str):
        raise ValueError("it is a str or an int")  # a Literal takes whatever equals 1, and True does
    return "all" if value == -1 else value


def _partitioner(value: Any) -> Any:
    if isinstance(value, str):
        if value not in PARTITIONER_NAMES:
            raise ValueError("there is no partitioner of that name")
        return value
    if not callable(getattr(value, "partition", None)):
        raise ValueError("it has no method partition(record, partition_count)")
    if not isinstance(value, type):
        return value
    try:
        return value()
    except TypeError:
        raise ValueError("the class cannot be made without arguments; give an instance") from None


def _hook(value: Any) -> Any:
    from klife.hooks import Hooks  # by who has some

    if isinstance(value, type) and issubclass(value, Hooks):
        try:
            value = value()
        except TypeError:
            raise ValueError("the class cannot be made without arguments; give an instance") from None
    if not isinstance(value, Hooks):
        raise ValueError("it is no klife.hooks.Hooks")
    methods = (name for name in vars(Hooks) if name.startswith("on_"))
    if asynchronous := [name for name in methods if is_coroutine_function(getattr(value, name))]:
        raise ValueError(f"{asynchronous[0]} is a coroutine function, which nothing would await; make it a plain one")
    return value


def _serializer(value: Any) -> Any:
    if value is not None:
        takes_context(value)  # which raises
    return value


def _client_id(value: str) -> str:
    try:
        names = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
    except ValueError:
        raise ValueError("close the braces, or double them to mean a brace") from None
    if unknown := sorted(names - {"client", "producer"}):
        raise ValueError(f"the braces may hold client or producer, not {', '.join(map(repr, unknown))}")
    return value


def _topic_name(value: str) -> str:
    if not is_legal_topic(value):
        raise ValueError("Kafka allows 1 to 249 of the characters a-z A-Z 0-9 . _ - and neither '.' nor '..'")
    return value


def _socket_option(value: object) -> tuple[int, int, int | bytes]:
    match value:
        case [int() as level, int() as option, (int() | bytes()) as setting]:
            return level, option, setting
    raise ValueError("level and option are ints, the value an int or bytes")


def _path(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


SaslMechanismName = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
SASL_MECHANISM_NAMES: tuple[SaslMechanismName, ...] = get_args(SaslMechanismName)

_ELSEWHERE = {
    "AWS_MSK_IAM": 'it is OAUTHBEARER with Amazon\'s signer: give mechanism="OAUTHBEARER" and a token_provider that calls the signer, '
    "as docs/security.md shows",
    "GSSAPI": "klife has no Kerberos; use another of the mechanisms your brokers offer, or give an object that speaks it",
}


def _mechanism(value: Any) -> Any:
    if isinstance(value, str):
        if value in SASL_MECHANISM_NAMES:
            return value
        spelled = value.strip().upper().replace("_", "-")
        if spelled in SASL_MECHANISM_NAMES:
            raise ValueError(f"did you mean {spelled!r}?")
        raise ValueError(_ELSEWHERE.get(value.strip().upper(), "klife has no mechanism of that name"))
    name = getattr(value, "name", None)
    if isinstance(value, type):
        raise ValueError("give an instance, not a class")
    if not (isinstance(name, str) and name) or not callable(getattr(value, "exchange", None)):
        raise ValueError("it has no name and no method exchange(host)")
    return value


Name = Annotated[str, Field(min_length=1, max_length=249), Expected("a str of 1 to 249 characters")]
TopicName = Annotated[str, AfterValidator(_topic_name), Expected("a topic's name")]
Milliseconds = Annotated[int, Field(ge=0, le=INT32_MAX)]
PositiveMilliseconds = Annotated[int, Field(ge=1, le=INT32_MAX)]
FrameBytes = Annotated[int, Field(ge=1, le=INT32_MAX)]
MemoryBytes = Annotated[int, Field(ge=1, le=INT64_MAX)]

Address = Annotated[str, AfterValidator(_address)]
BootstrapServers = Annotated[
    tuple[Address, ...],
    BeforeValidator(_split_addresses),
    AfterValidator(_not_empty),
    Expected('"host:port", several of them separated by commas, or a list of them'),
]
Acks = Annotated[Literal["all", 1, 0], BeforeValidator(_acks)]
ClientId = Annotated[
    str, Field(min_length=1), AfterValidator(_client_id), Expected("a str, in which {client} and {producer} are filled in")
]
CompressionType = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Partitioning = Annotated[
    PartitionerName | Partitioner,
    PlainValidator(_partitioner),
    Expected(f"a klife.Partitioner, a class of them, or one of {', '.join(map(repr, PARTITIONER_NAMES))}"),
]
Feature = Literal["producer", "txn_producer"]
Features = Annotated[tuple[Feature, ...], BeforeValidator(_set_as_tuple), Expected("a list of 'producer', 'txn_producer'")]
SocketOption = Annotated[tuple[int, int, int | bytes], PlainValidator(_socket_option)]
SocketOptions = Annotated[
    tuple[SocketOption, ...], BeforeValidator(_sequence), Expected("a list of (level, option, value), as for socket.setsockopt")
]
FilePath = Annotated[str, BeforeValidator(_path), Expected("a path, str or os.PathLike")]
Hook = Annotated[Any, PlainValidator(_hook)]
Hooking = Annotated[tuple[Hook, ...], BeforeValidator(_sequence), Expected("a list of klife.hooks.Hooks, or of classes of them")]
Serializing = Annotated[
    Serializer | None, PlainValidator(_serializer), Expected("a callable f(value) or f(value, context) that returns bytes")
]
Secret = Annotated[SecretStr, Expected("a str")]
TokenProvider = Annotated[Callable[[], Any], Expected("a callable without arguments")]
SaslMechanism = Annotated[
    SaslMechanismName | Mechanism,
    PlainValidator(_mechanism),
    Expected(f"one of {', '.join(map(repr, SASL_MECHANISM_NAMES))}, or an object with a name and exchange(host)"),
]
as_tuple: BeforeValidator = BeforeValidator(_sequence)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model among the types that an option takes, or that the elements of its list have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := model_in(argument))), None)


def is_list(annotation: Any) -> bool:
    """Whether an option of that type takes a list."""
    return get_origin(annotation) is tuple
