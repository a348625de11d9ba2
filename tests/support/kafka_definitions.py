"""Kafka's own message definitions, the JSON files its classes are generated from, as its jar carries them."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from klife.protocol.schema import EMPTY

Definitions = dict[str, dict[str, Any]]


def kafka_definitions(kafka_jars: Path) -> Definitions:
    """All definitions by name. The files are JSON with comment lines."""
    (jar,) = kafka_jars.glob("kafka-clients-*.jar")
    with zipfile.ZipFile(jar) as archive:
        texts = [archive.read(name).decode() for name in archive.namelist() if re.fullmatch(r"common/message/\w+\.json", name)]
    parsed = [json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)) for text in texts]
    return {definition["name"]: definition for definition in parsed}


def snake_case(name: str) -> str:
    """The name of a field in klife."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def kafkas_default(spec: dict[str, Any], *, is_struct: bool) -> Any:
    """A field's default by the rules of Kafka's generator."""
    text, kind = spec.get("default", ""), spec["type"]
    if str(text) == "null" or kind == "records":
        return None
    if kind.startswith("[]") or is_struct:
        return EMPTY
    if kind in ("string", "bytes"):
        return text if kind == "string" else text.encode()
    if kind == "uuid":
        return bytes(16)
    if kind == "bool":
        return text in ("true", True)
    return int(str(text or 0), 0) if kind != "float64" else float(text or 0)


def structs_of(definition: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The fields of every nested struct by its name."""
    found = {common["name"]: common["fields"] for common in definition.get("commonStructs", [])}
    todo = [definition["fields"], *found.values()]
    while todo:
        for spec in todo.pop():
            if "fields" in spec:
                found[spec["type"].removeprefix("[]")] = spec["fields"]
                todo.append(spec["fields"])
    return found
