"""Reading Kafka's dotted names: what `ClientConfig.from_properties` does. The names are in `options` and
`kafka_names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from klife.api.config.kafka_names import LEVEL_OF_CODEC, NO_EQUIVALENT, PARTITIONERS, PASSED_OVER, KafkaName, kafka_names
from klife.api.config.security_properties import SECURITY_NAMES, SecurityReader
from klife.api.config.text import parse
from klife.api.config.words import describe, suggest

_LIBRDKAFKA_DEFAULT_LEVEL = -1


class PropertiesReader:
    """Turns dotted names into options of `model`, and remembers for each where it came from and what could
    not be understood.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self.options: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []
        self._model = model
        self._known = kafka_names(model)

    def read(self, properties: Mapping[str, Any]) -> None:
        codec = properties.get("compression.type", properties.get("compression.codec"))
        for name, value in properties.items():
            if not isinstance(name, str):
                self.problems.append(f"a property's name is {describe(name, secret=True)}, expected str such as 'linger.ms'")
            elif name in SECURITY_NAMES:
                continue  # below, all together
            elif name in self._known:
                if LEVEL_OF_CODEC.get(name, codec) == codec:
                    self._take(name, self._known[name], value)
            elif not _is_passed_over(name, value):
                self.problems.append(f"{name}: {self._unknown(name)}")
        security = SecurityReader()
        security.read(properties)
        self.options |= security.options
        self.origins |= security.origins
        self.problems += security.problems

    def _take(self, name: str, known: KafkaName, value: Any) -> None:
        option = known.option
        if option in self.origins:
            self.problems.append(f"{name}: means the same as {self.origins[option]} ({option}); leave one of the two out")
            return
        if isinstance(value, str):
            value = parse(self._model, option, value)
        if known.factor != 1 and type(value) is int:
            value *= known.factor
        if name == "compression.level" and value == _LIBRDKAFKA_DEFAULT_LEVEL:
            value = None
        if name == "partitioner" and isinstance(value, str):
            value = PARTITIONERS.get(value, value)
        self.options[option] = value
        self.origins[option] = name

    def _unknown(self, name: str) -> str:
        if name in NO_EQUIVALENT:
            return f"has no equivalent in klife; {NO_EQUIVALENT[name]}"
        if name in self._model.model_fields:
            return f"is klife's own name; give it as a keyword: ClientConfig.build(ClientConfig.from_properties(...), {name}=...)"
        meant = suggest(name, [*self._known, *NO_EQUIVALENT, *SECURITY_NAMES])
        return (
            f"unknown property; did you mean {meant}?"
            if meant
            else "unknown property; klife.api.config.kafka_names lists the known ones"
        )


def _is_passed_over(name: str, value: Any) -> bool:
    """Whether it is for others that read the same file, or asks for what klife does anyway."""
    harmless = PASSED_OVER.get(name)
    return harmless is not None and (not harmless or str(value).lower() in harmless)
