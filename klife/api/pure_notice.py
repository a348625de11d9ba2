"""What the log is told, once in a process, where klife runs without its compiled core: it does the same, and
takes about four times as long for each record, which nobody should find out by measuring.

A warning where nobody has decided so; an INFO event where it was installed like that; and nothing where
KLIFE_PURE says that it is wanted.
"""

from __future__ import annotations

from klife.core import pure
from klife_supervision.logs import Logger, get_logger

log: Logger = get_logger("klife")

_told = False


def tell() -> None:
    """Called by each client that starts."""
    global _told
    found = None if _told else pure()
    if found is None or found.wanted_by == "whoever runs it":
        return
    _told = True
    if found.wanted_by:
        log.info("without_compiled_core", reason=found.why)
    else:
        log.warning(
            "without_compiled_core",
            reason=found.why,
            hint="a record takes about four times as long; install a wheel for this platform, or again where a C compiler and "
            "Python's headers are (pip install --force-reinstall --no-cache-dir --no-deps klife); KLIFE_PURE=1 says that it is wanted",
        )
