"""Reading options from environment variables: what `ClientConfig.from_env` does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from klife.api.config.text import parse
from klife.api.config.words import suggest

_RESERVED = frozenset({"KLIFE_PURE"})
_RESERVED_PREFIX = "KLIFE_TEST_"

# Kubernetes tells each container of the services in its namespace, in the variables of Docker's links: of a
# service "klife" (or "klife-web") by KLIFE_SERVICE_HOST, KLIFE_PORT and six more for each port. They are
# known by name and value together, so that an option that is nearly called like one of them is still
# reported.
_URL = r"(tcp|udp|sctp)://\S+:\d+"
_ADDRESS = r"[\d.]+|[\da-fA-F:.]*:[\da-fA-F:.]*"
_OF_A_SERVICE = tuple(
    (re.compile(rf"(\w+_)?{name}"), re.compile(value))
    for name, value in (
        (r"SERVICE_HOST", _ADDRESS),
        (r"SERVICE_PORT(_\w+)?", r"\d+"),
        (r"PORT", _URL),
        (r"PORT_\d+_(TCP|UDP|SCTP)", _URL),
        (r"PORT_\d+_(TCP|UDP|SCTP)_PROTO", r"tcp|udp|sctp"),
        (r"PORT_\d+_(TCP|UDP|SCTP)_PORT", r"\d+"),
        (r"PORT_\d+_(TCP|UDP|SCTP)_ADDR", _ADDRESS),
    )
)


class EnvironmentReader:
    """Turns `<prefix>LINGER_MS=5` into options of `model`, and remembers where each came from and what could
    not be understood.
    """

    def __init__(self, model: type[BaseModel], prefix: str) -> None:
        self.options: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []
        self._model = model
        self._prefix = prefix

    def read(self, environ: Mapping[str, str]) -> None:
        for variable in sorted(environ):
            if not variable.startswith(self._prefix) or variable in _RESERVED or variable.startswith(_RESERVED_PREFIX):
                continue
            option = variable.removeprefix(self._prefix).lower()
            if option in self._model.model_fields and variable == self._variable(option):
                self._take(option, variable, environ[variable])
            elif not _tells_of_a_service(variable.removeprefix(self._prefix), environ[variable]):
                self.problems.append(f"{variable}: {self._unknown(variable)}")

    def _take(self, option: str, variable: str, text: str) -> None:
        try:
            value = parse(self._model, option, text)
        except ValueError as error:
            self.problems.append(f"{option} (given as {variable}): expected JSON, and the text is not: {error}")
            return
        self.options[option] = value
        self.origins[option] = variable

    def _variable(self, option: str) -> str:
        return self._prefix + option.upper()

    def _unknown(self, variable: str) -> str:
        names = [self._variable(option) for option in self._model.model_fields]
        meant = suggest(variable, names)
        advice = f"did you mean {meant}?" if meant else f"variables are {self._prefix} and an option's name in capitals, as {names[0]}"
        return f"unknown variable; {advice}"


def _tells_of_a_service(name: str, value: str) -> bool:
    return any(names.fullmatch(name) and values.fullmatch(value) for names, values in _OF_A_SERVICE)
