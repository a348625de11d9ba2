"""What a method of the core that is called by its class does with a `self` of another: `Client.flush(5)`.

C looks at `self` before it runs a method: a TypeError. Python runs it, until something is missing. Where the
core is not compiled, its public classes have each method wrapped to look, too, but for those that run for
each record: they ask `wrong_self` what they stumbled over, which costs nothing until then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

from klife.words import kind_of, with_article


def refuse_wrong_self(cls: type, *but: str) -> None:
    """Have the methods that `cls` defines raise a TypeError for a `self` that is none, `but` for some."""
    for name, method in list(vars(cls).items()):
        if isinstance(method, FunctionType) and name not in {"__new__", *but}:
            setattr(cls, name, _looking(cls, method))


def wrong_self(cls: type, method: str, self: object, error: AttributeError) -> Exception:
    """What to raise in place of `error`, which a method of `cls` met when it first looked at `self`."""
    return error if isinstance(self, cls) else _refused(cls, method, self)


def _looking(cls: type, method: FunctionType) -> Callable[..., Any]:
    @wraps(method)
    def looked_at(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(self, cls):
            raise _refused(cls, method.__name__, self)
        return method(self, *args, **kwargs)

    return looked_at


def _refused(cls: type, method: str, self: object) -> TypeError:
    return TypeError(f"{method} of {cls.__name__} was called with {kind_of(self)} as self; call it on {with_article(cls.__name__)}")
