"""Names and numbers as texts have them: "an int", "1 record"."""

from __future__ import annotations

_VOWELS = tuple("aeioAEIO")  # not u: a UUID


def with_article(name: str) -> str:
    """`name` with "a" or "an" before it."""
    return f"an {name}" if name.startswith(_VOWELS) else f"a {name}"


def kind_of(value: object) -> str:
    """What kind of value it is: "an int"."""
    return with_article(type(value).__name__)


def counted(number: int, what: str) -> str:
    """So many of them: "1 record", "2 records"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def were(number: int) -> str:
    """What so many of them were, or was one."""
    return "was" if number == 1 else "were"
