"""What the constructor of `klife.Record` takes, as a function of Python's own: the compiled core calls it with arguments
that are wrong, so that the error has Python's words, and not the compiler's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Record:
    """Has the name that the error tells."""

    def __init__(
        self,
        topic: str,
        value: Any,
        key: Any = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Takes what `klife.Record` takes."""
