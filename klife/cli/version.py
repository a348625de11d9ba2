"""`klife --version`: what is installed, and whether it has its compiled core."""

from __future__ import annotations

import platform
from importlib.metadata import version

from klife.core import pure
from klife.version import __version__


def version_line() -> str:
    """One line, for bug reports."""
    without_core = pure()
    core = "compiled core" if without_core is None else f"pure Python, for {without_core.why}"
    return f"klife {__version__}, {core}; {platform.python_implementation()} {platform.python_version()}, gevent {version('gevent')}"
