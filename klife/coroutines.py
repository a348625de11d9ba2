"""Coroutine functions where a plain function is wanted. Their call runs nothing, and all that tells is a
warning, so they are refused.
"""

from __future__ import annotations

from inspect import isasyncgenfunction, iscoroutinefunction
from types import CoroutineType
from typing import Any


def is_coroutine_function(value: Any) -> bool:
    """Whether a call of `value` makes a coroutine, or an asynchronous generator; where that can be seen before."""
    return any(is_async(each) for is_async in (iscoroutinefunction, isasyncgenfunction) for each in (value, type(value).__call__))


def refuse_coroutine(returned: object) -> None:
    """TypeError where a callback returned a coroutine, which nobody awaits."""
    if isinstance(returned, CoroutineType):
        returned.close()
        raise TypeError(
            f"the callback made a coroutine, {returned.__qualname__}, which nothing awaits; expected a plain function, which may hand "
            "the result to a loop: asyncio.run_coroutine_threadsafe(coroutine, loop)"
        )
