"""The address of a broker, as users write it."""

from __future__ import annotations

from klife.host_name import why_no_host


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[ipv6]:port`. The host comes without brackets. `ValueError` says what
    is wrong with it.
    """
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or not host:
            raise ValueError("close the brackets around the IPv6 address, e.g. [::1]:9092")
        if not rest:
            raise ValueError("there is no port; add one, e.g. :9092")
        port = rest.removeprefix(":") if rest.startswith(":") else ""
    else:
        host, colon, port = address.rpartition(":")
        if not colon:
            raise ValueError("there is no port; add one, e.g. :9092")
        if "," in host:
            raise ValueError("it holds several; make each an element of its own")
        if ":" in host:
            raise ValueError("write an IPv6 address in brackets, e.g. [::1]:9092")
    if not host or any(character.isspace() or character in "/@?#" for character in host):
        raise ValueError("the part before the port must be a host name or an IP address")
    if (why := why_no_host(host)) is not None:
        raise ValueError(f"the part before the port must be a host name or an IP address: {why}")
    if not (port.isascii() and port.isdecimal()) or not 1 <= int(port[:6]) <= 65535:
        raise ValueError("the port must be a number from 1 to 65535")
    return host, int(port)
