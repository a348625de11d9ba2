"""Which names of hosts can be looked up: the one rule for options, and for what brokers advertise."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%.+)?")


def why_no_host(host: str) -> str | None:
    """Why `host` can be no name, and no address; None if it can. Python's own look-up raises a UnicodeError then,
    of which a thread of gevent's pool prints the traceback.
    """
    if _PLAIN.fullmatch(host):
        return None
    if not host:
        return "it is empty"
    if "" in host.removesuffix(".").split("."):
        return "there is nothing between two of its dots, or before the first"
    try:
        host.encode("idna")
    except UnicodeError:
        return "a part of it is longer than 63 characters, or holds one that no name has"
    return None


def address_of(host: str, port: int) -> str:
    """Host and port as one text: an IPv6 address in brackets, as users write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
