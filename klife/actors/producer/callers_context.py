"""A callback runs in the `contextvars` context of whoever gave it: what a request has bound there (its id, its
trace) is in the callback's log lines and spans, too.

A caller who has bound nothing is most callers: to look takes 50 ns, and then the callback stays as it is, and
runs in whatever context its partition's callbacks run in.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any


def in_callers_context(callback: Callable[..., Any]) -> Callable[..., Any]:
    """What calls `callback` in the calling greenlet's context, once."""
    context = copy_context()
    return partial(context.run, callback) if len(context) else callback
