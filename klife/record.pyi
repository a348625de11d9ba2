"""What type checkers know of `klife.record`: a `Record[V, K]` has a value of type V and a key of type K, both bytes
where nothing else is said. At run time there is no such thing, for a compiled class can not be generic.
"""

from collections.abc import Iterable, Sequence
from types import GenericAlias
from typing import Any, Generic

from typing_extensions import TypeVar

from klife.errors import ProduceError

Header = tuple[str, bytes | None]
_V = TypeVar("_V", default=bytes)
_K = TypeVar("_K", default=bytes)

class Record(Generic[_V, _K]):
    topic: str
    value: _V | None
    key: _K | None
    headers: Sequence[Header]
    partition: int | None
    timestamp_ms: int | None
    offset: int | None
    error: ProduceError | None
    error_code: int | None

    def __init__(
        self,
        topic: str,
        value: _V | None,
        key: _K | None = None,
        headers: Sequence[Header] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None: ...
    @staticmethod
    def verify_batch(results: Iterable[Record]) -> list[Record]: ...
    def delivered(self, offset: int | None = 0, *, partition: int | None = None, timestamp_ms: int | None = None) -> Delivered: ...
    def failed(self, error: ProduceError) -> Undelivered: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

class Delivered(Record[bytes, bytes]):
    partition: int

    def __init__(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[Header],
        partition: int,
        timestamp_ms: int | None,
        offset: int | None,
    ) -> None: ...

class Undelivered(Record[bytes, bytes]):
    def __init__(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[Header],
        partition: int | None,
        timestamp_ms: int | None,
        error: ProduceError,
    ) -> None: ...
    def again(self) -> Undelivered: ...
