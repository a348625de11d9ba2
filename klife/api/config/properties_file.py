"""Java's properties files: names and values a line, as `java.util.Properties` reads them.

A name ends at the first `=`, `:` or blank that no backslash stands before; a line that ends in a backslash
goes on in the next; `#` and `!` begin a comment. Java takes the bytes for Latin-1, which nobody's editor
writes: UTF-8 is tried first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from klife.errors import ConfigError

LARGEST_BYTES = 1 << 20

_BLANK = " \t\f"
_NAME = re.compile(r"(?:\\.|[^\\=: \t\f])*", re.DOTALL)
_SEPARATOR = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ENDS_IN_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def read_properties(path: str | os.PathLike[str]) -> dict[str, str]:
    """The properties of a file; of a name that is there twice, the last.

    Raises:
        ConfigError: it can not be read, or is no text.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        problem = f"cannot read {os.fspath(path)}: {error.strerror or error}"
    else:
        if len(data) <= LARGEST_BYTES and b"\0" not in data:
            return parse_properties(_text(data))
        problem = f"{os.fspath(path)} is no properties file: expected lines of text such as bootstrap.servers=localhost:9092"
    raise ConfigError([problem])


def parse_properties(text: str) -> dict[str, str]:
    """The properties in `text`."""
    found = {}
    for line in _logical_lines(text):
        name = _NAME.match(line)
        assert name is not None
        value = line[_end(line, name.end()) :]
        found[_unescaped(name[0])] = _unescaped(value)
    return found


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments and leading blanks, each with those it goes on in."""
    begun = ""
    for natural in re.split(r"\r\n|\r|\n", text):
        line = natural.lstrip(_BLANK)
        if not begun and (not line or line[0] in "#!"):
            continue
        line = begun + line
        goes_on = _ENDS_IN_ESCAPE.search(line) is not None
        begun = line[:-1] if goes_on else ""
        if not goes_on:
            yield line
    if begun:
        yield begun


def _end(line: str, end_of_name: int) -> int:
    separator = _SEPARATOR.match(line, end_of_name)
    assert separator is not None
    return separator.end()


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if len(escape) == 5 else _CONTROL.get(escape, escape)

    return _ESCAPE.sub(character, text)
