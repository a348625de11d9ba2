"""Reading Kafka's dotted names: what `ClientConfig.from_properties` does. The names are in `options` and
`kafka_names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from klife.api.config.kafka_names import LEVEL_OF_CODEC, NO_EQUIVALENT, PARTITIONERS, SECURITY_PROTOCOLS, KafkaName, kafka_names
from klife.api.config.messages import describe, suggest
from klife.api.config.text import parse

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
            elif name in self._known:
                if LEVEL_OF_CODEC.get(name, codec) == codec:
                    self._take(name, self._known[name], value)
            elif name != "security.protocol":
                self.problems.append(f"{name}: {self._unknown(name)}")
        if "security.protocol" in properties:
            self._security_protocol(properties["security.protocol"])

    def _take(self, name: str, known: KafkaName, value: Any) -> None:
        option = known.option
        if known.inner is not None:
            settings = self.options.setdefault(option, {})
            self.origins.setdefault(option, name)
            settings[known.inner] = _setting(known.inner, value)
            return
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

    def _security_protocol(self, value: Any) -> None:
        protocol = value.upper() if isinstance(value, str) else value
        if protocol not in SECURITY_PROTOCOLS:
            self.problems.append(f"security.protocol: got {describe(value)}, expected one of {', '.join(SECURITY_PROTOCOLS)}")
            return
        wanted = (["tls"] if protocol.endswith("SSL") else []) + (["sasl"] if protocol.startswith("SASL_") else [])
        for option in wanted:
            self.options.setdefault(option, True if option == "tls" else {})
            self.origins[option] = "security.protocol"

    def _unknown(self, name: str) -> str:
        if name in NO_EQUIVALENT:
            return f"has no equivalent in klife; {NO_EQUIVALENT[name]}"
        if name in self._model.model_fields:
            return f"is klife's own name; give it as a keyword: ClientConfig.build(ClientConfig.from_properties(...), {name}=...)"
        meant = suggest(name, [*self._known, *NO_EQUIVALENT, "security.protocol"])
        return (
            f"unknown property; did you mean {meant}?"
            if meant
            else "unknown property; klife.api.config.kafka_names lists the known ones"
        )


def _setting(inner: str, value: Any) -> Any:
    if inner == "check_hostname" and isinstance(value, str):
        return value.strip().lower() == "https"  # "" and librdkafka's "none" turn the check off
    return value
