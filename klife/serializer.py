"""What makes bytes of a record's key or value: a function, or an object that is called as one.

`f(value)`, or `f(value, context)` as confluent-kafka's serializers are: a second parameter that is required, or
is named `ctx` or `context`, gets a `SerializationContext`.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, Final, Literal

from klife.coroutines import is_coroutine_function

Serializer = Callable[[Any], bytes | None] | Callable[[Any, Any], bytes | None]

_NAMES: Final = ("ctx", "context")
_BY_POSITION: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_MOST: Final = 2  # a value and a context


class SerializationContext:
    """What a serializer may want to know besides the value, by the names that confluent-kafka has for it.

    `topic` is the record's, `field` is "key" or "value", and `headers` is a list of the record's headers, to
    which a serializer may add some of its own. The key is serialised first.
    """

    __slots__ = ("topic", "field", "headers")

    def __init__(self, topic: str, field: Literal["key", "value"], headers: list[tuple[str, bytes | None]] | None = None) -> None:
        self.topic: str = topic
        self.field = field
        self.headers: list[tuple[str, bytes | None]] = [] if headers is None else headers

    def __repr__(self) -> str:
        return f"SerializationContext(topic={self.topic!r}, field={self.field!r}, headers={len(self.headers)})"


def takes_context(serializer: Any) -> bool:
    """Whether `serializer` is to be called with a context, too.

    Raises:
        ValueError: it is nothing that can be called with a value and returns bytes.
    """
    if isinstance(serializer, type):
        raise ValueError("it is a class; give an object of it, or a function")
    if not callable(serializer):
        raise ValueError("it can not be called")
    if is_coroutine_function(serializer):
        raise ValueError("it is a coroutine function; give one that returns bytes, and waits as greenlets do if it has to")
    try:
        parameters = signature(serializer).parameters.values()
    except (TypeError, ValueError):  # of C's, and without a signature
        return False
    if required := [each.name for each in parameters if each.kind is Parameter.KEYWORD_ONLY and each.default is Parameter.empty]:
        raise ValueError(f"it can not be called without {', '.join(required)}=...; give those by functools.partial")
    positional = [each for each in parameters if each.kind in _BY_POSITION]
    needed = sum(each.default is Parameter.empty for each in positional)
    if needed > _MOST:
        raise ValueError(f"it needs {needed} arguments")
    if not positional:
        if not any(each.kind is Parameter.VAR_POSITIONAL for each in parameters):
            raise ValueError("it takes no value")
        return False
    return needed == _MOST or (len(positional) >= _MOST and positional[1].name in _NAMES)
