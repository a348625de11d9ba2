"""Assertions on what really reached Kafka: `setup` and `all_produced`.

    setup(client)
    shop.place_order(...)                                  # your code, which produces somewhere inside
    assert len(all_produced(client, "orders", key=b"42")) == 1

`setup` remembers where the logs end, so tests can share a cluster and its topics; `all_produced` reads the
logs from there. Both ask the brokers with connections of their own, secured as the client's are: what they say
does not depend on the client, which may be stopped by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from klife.errors import KlifeError
from klife.testing.consumer import Log, LogReader
from klife.words import kind_of

if TYPE_CHECKING:
    from klife.api.client import Client
    from klife.record import Header, Record

__all__ = ["NotSetUp", "all_produced", "setup"]

TIMEOUT_SECONDS = 30.0


class NotSetUp(KlifeError, RuntimeError):
    """`all_produced` does not know from where to read: `setup` was not called for this client."""


class _Any(Enum):
    """Not given: None is a key or a value one may look for."""

    VALUE = "any"

    def __repr__(self) -> str:
        return "<any>"


_ANY: Final = _Any.VALUE
_Anything = Literal[_Any.VALUE]

_ends: dict[str, dict[Log, int]] = {}


def setup(client: Client) -> None:
    """Remember where the logs of the client's cluster end now; `all_produced` tells what came after. Calling
    it again starts over.

    Raises:
        AdminError: the brokers did not all answer within 30 s.
    """
    with _reader(client) as reader:
        _ends[client.name] = reader.end_offsets()


def all_produced(
    client: Client,
    topic: str,
    *,
    value: bytes | _Anything | None = _ANY,
    key: bytes | _Anything | None = _ANY,
    headers: Sequence[Header] | _Anything = _ANY,
    partition: int | _Anything = _ANY,
) -> list[Record]:
    """The committed records of `topic` written since `setup(client)`, by whomever, that equal everything
    given; by partition and offset.

    A value or key of None looks for records with none; leave the argument out to take any. They are results
    as `produce` returns them, with `offset`, `partition` and `timestamp_ms`. Flush first: what is still
    queued in the client is not in the log. Of transactions those that were committed are seen; and nothing
    behind one that is open, as by any reader of committed records.

    Raises:
        NotSetUp: `setup` was not called for this client.
        AdminError: the topic does not exist (`error_code` 3), or its partitions could not all be read within
            30 s.
        TypeError: an argument could equal no record's field, whatever was written.
    """
    _check_filter("value", value, (bytes, type(None)), "bytes or None")
    _check_filter("key", key, (bytes, type(None)), "bytes or None")
    _check_filter("headers", headers, (list, tuple), "a list or tuple of (str, bytes | None) pairs")
    _check_filter("partition", partition, (int,), "an int")
    start = _ends.get(client.name)
    if start is None:
        raise NotSetUp(f"klife.testing.setup was not called for client {client.name!r}; call it before what is to be looked for")
    wanted: Mapping[str, object] = {
        "value": value,
        "key": key,
        "headers": headers if headers is _ANY else tuple(headers),
        "partition": partition,
    }
    given = {field: expected for field, expected in wanted.items() if expected is not _ANY}
    with _reader(client) as reader:
        records = reader.read(topic, start)
    return [record for record in records if all(getattr(record, field) == expected for field, expected in given.items())]


def _reader(client: Client) -> LogReader:
    """One that connects as the client does."""
    return LogReader(_bootstrap(client), timeout=TIMEOUT_SECONDS, settings=client._handle.engine.settings.connection)


def _bootstrap(client: Client) -> str:
    """All addresses the client knows: those of its bootstrap list, and the brokers it found there (of some
    perhaps only the id).
    """
    return ",".join(dict.fromkeys(broker.address for broker in client.status().brokers if ":" in broker.address))


def _check_filter(name: str, value: object, types: tuple[type, ...], expected: str) -> None:
    # A str never equals a record's bytes: without this, a slip turns "nothing was produced" into a test that
    # always passes.
    if value is not _ANY and not isinstance(value, types):
        raise TypeError(f"{name} is {kind_of(value)}; expected {expected}, or leave it out for any")
