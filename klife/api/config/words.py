"""Options and values in words: where an option was given, what a value is, what a name was probably meant to
be.

A value is shown only where it helps and can be no secret: scalars, of options that hold none. Of everything
else the type is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Loc: TypeAlias = tuple[int | str, ...]
Origins: TypeAlias = Mapping[str, str]

_LONGEST_SHOWN = 60


def format_path(loc: Loc, origins: Origins) -> str:
    """`producers[1].acks`, with where it came from if that has another name: `linger_ms (given as
    linger.ms)`.
    """
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    origin = origins.get(path) or (origins.get(str(loc[0])) if loc else None)
    return f"{path} (given as {origin})" if origin and origin != path else path


def describe(value: object, *, secret: bool = False) -> str:
    """Type and value; the type alone where the value is long, no scalar, or may be a secret
    ("user:password@host" is one).
    """
    if value is None:
        return "None"
    kind = type(value).__qualname__
    match value:
        case _ if secret:
            shown = False
        case str():
            shown = "@" not in value and len(value) <= _LONGEST_SHOWN
        case int():
            shown = value.bit_length() <= 64
        case _:
            shown = isinstance(value, float)
    return f"{kind} {value!r}" if shown else kind


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was probably meant, or None."""
    by_shape = {_shape(candidate): candidate for candidate in candidates}
    import difflib  # by who has mistaken a name

    close = difflib.get_close_matches(_shape(name), by_shape, n=1, cutoff=0.7)
    return by_shape[close[0]] if close else None


def _shape(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
