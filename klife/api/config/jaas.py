"""`sasl.jaas.config`: a login module with its options, as Java's clients read it.

    org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";

No error has a word of the text: where it can not be read, a password may be anywhere in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?:\s | //[^\n]* | /\*.*?\*/)*          # what stands between tokens
    (?: (?P<quote>["']) (?P<quoted>(?:\\.|(?!(?P=quote))[^\\\n])*) (?P=quote)
      | (?P<sign>[=;])
      | (?P<word>[^\s=;"']+)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\([0-3][0-7]{0,2}|[4-7][0-7]?|.)", re.DOTALL)
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_FLAGS = ("required", "requisite", "sufficient", "optional")


class LoginModule(NamedTuple):
    """The class without its package (those that are shaded have another), and its options."""

    name: str
    options: Mapping[str, str]


class _Token(NamedTuple):
    kind: str  # "text", "=", ";" or "end"
    text: str
    at: int


def parse_jaas(text: str) -> LoginModule:
    """The one login module in `text`.

    Raises:
        ValueError: it can not be read; the text says where, and what was expected.
    """
    tokens = _tokens(text)
    module = _expect(next(tokens), "a login module's class")
    if _expect(next(tokens), "'required' after the login module").lower() not in _FLAGS:
        raise ValueError("after the login module's class comes 'required', and then its options")
    options = {}
    while (token := next(tokens)).kind != ";":
        name = _expect(token, "an option or the ';' at the end")
        if (sign := next(tokens)).kind != "=":
            raise ValueError(f"expected '=' and a value for each option, at character {sign.at + 1}; put values into double quotes")
        options[name] = _expect(next(tokens), "a value, in double quotes")
    if next(tokens).kind != "end":
        raise ValueError("there is more behind the ';' that ends the login module; give one module, with its values in double quotes")
    return LoginModule(module.rpartition(".")[2], options)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError("a quote is not closed; a quote within a value has a backslash before it")
        position = match.end()
        if match["end"] is not None:
            while True:
                yield _Token("end", "", position)
        elif match["sign"]:
            yield _Token(match["sign"], "", position - 1)
        else:
            quoted = match["quoted"]
            yield _Token(
                "text", match["word"] if quoted is None else _ESCAPE.sub(_character, quoted), match.start(match.lastgroup or 0)
            )


def _expect(token: _Token, what: str) -> str:
    if token.kind != "text":
        raise ValueError(f"expected {what} at character {token.at + 1}")
    return token.text


def _character(match: re.Match[str]) -> str:
    escape = match[1]
    return chr(int(escape, 8)) if escape.isdigit() and escape[0] in "01234567" else _CONTROL.get(escape, escape)
