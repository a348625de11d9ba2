"""Which sockets this process has."""

from __future__ import annotations

import os


def socket_inodes() -> set[str]:
    """The sockets this process has open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # what listed the folder
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
