"""On what a result was measured: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from klife.testing.cluster_errors import BackendUnavailable
from klife.testing.cluster_jars import find_java
from klife.testing.jars import full_version

_ROOT = Path(__file__).parent.parent


def facts() -> dict[str, object]:
    """Processor, cores, memory, kernel, interpreter, what real brokers run on, and the load of the minute
    before.

    Nothing that names the machine, such as the end of a kernel's release may.
    """
    return {
        "processor": _model_name() or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "load_before": round(os.getloadavg()[0], 1),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kafka": full_version(None),
        "java": _java(),
    }


def commit() -> str:
    """Which commit of this repository this is, with a + if files were changed since; "unknown" where there is
    no repository.
    """
    said = _output("git", "describe", "--always", "--dirty=+", "--exclude=*")
    return said or "unknown"


def _java() -> str:
    """The version of the Java that brokers are started with here; "none" where there is none."""
    try:
        lines = _output(find_java(), "--version").splitlines()
    except BackendUnavailable:
        lines = []
    return lines[0] if lines else "none"


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _model_name() -> str | None:
    """What Linux calls the processor; elsewhere None."""
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return None
