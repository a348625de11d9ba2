"""How a broker's properties are written: listeners, and the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def listener_addresses(listeners: Mapping[str, str]) -> str:
    """`listeners` and `advertised.listeners`, from `host:port` by name."""
    return ",".join(f"{name}://{address}" for name, address in listeners.items())


def listener_protocols(names: Iterable[str]) -> str:
    """`listener.security.protocol.map`. Listeners that are named for what they speak speak that."""
    return ",".join(f"{name}:{'PLAINTEXT' if name in ('PROXIED', 'INTERNAL', 'CONTROLLER') else name}" for name in names)


def properties_text(properties: Mapping[str, object]) -> str:
    """A file of properties as Java reads it, whose bytes are Latin-1."""
    return "".join(f"{name}={_ascii(str(value))}\n" for name, value in properties.items())


def _ascii(value: str) -> str:
    units = value.encode("utf-16-be")
    codes = [int.from_bytes(units[index : index + 2], "big") for index in range(0, len(units), 2)]
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)
