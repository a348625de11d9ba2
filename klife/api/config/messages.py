"""Pydantic's findings in klife's words: the option's full path, what was given, what is expected, what to do."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel

from klife.api.config.kafka_names import kafka_names
from klife.api.config.option_types import Expected, model_in
from klife.api.config.words import Loc, Origins, describe, format_path, suggest

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_HOLD_SECRETS = frozenset({"tls", "sasl"})


def explain(model: type[BaseModel], detail: ErrorDetails, origins: Origins) -> str:
    """One line about one of pydantic's errors."""
    loc = detail["loc"]
    path = format_path(loc, origins)
    if detail["type"] == "extra_forbidden":
        return f"{path}: {_unknown(model, loc)}"
    field = _field(model, loc)
    expected = _expected(field) if field else "an option's name as str"
    if detail["type"] == "missing":
        return f"{path}: missing; give {expected}"
    value = detail["input"]
    if detail["type"] == "model_type":
        return f"{path}: got {describe(value, secret=True)}, expected a dict of options or a {detail['ctx']['class_name']}"
    hidden = loc[0] in _HOLD_SECRETS and loc[1:] != ("mechanism",)
    got = describe(value, secret=hidden or _is_secret(field))
    if not value and isinstance(value, str | tuple | list):
        got = f"an empty {type(value).__qualname__}"
    return f"{path}: got {got}, expected {expected}{_advice(detail, value)}"


def _advice(detail: ErrorDetails, value: object) -> str:
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return f"; {cause}"
    if detail["type"] in ("int_type", "int_from_float"):
        if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
            return "; write the number without quotes"
        if isinstance(value, float):
            return "; write a whole number"
    if detail["type"] == "bool_type" and str(value).lower() in ("true", "false", "0", "1"):
        return f"; write {str(value).lower() in ('true', '1')}"
    return ""


def _unknown(model: type[BaseModel], loc: Loc) -> str:
    name = str(loc[-1])
    owner = _model_at(model, loc[:-1])
    whose = "" if owner is model else f" of {owner.__name__}"
    options = owner.model_fields
    if known := kafka_names(owner).get(name):
        return f"unknown option{whose}; this is Kafka's name for {known.option} (ClientConfig.from_properties takes Kafka's names)"
    if owner is not model and name in model.model_fields:
        return f"unknown option{whose}; it is an option of the client, give it there"
    meant = suggest(name, options)
    return f"unknown option{whose}; " + (f"did you mean {meant}?" if meant else f"the options are {', '.join(options)}")


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    """The model that holds what is at `loc`."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = model_in(model.model_fields[part].annotation) or model
    return model


def _field(model: type[BaseModel], loc: Loc) -> FieldInfo | None:
    named = [index for index, part in enumerate(loc) if isinstance(part, str)]
    if not named:
        return None
    return _model_at(model, loc[: named[-1]]).model_fields.get(str(loc[named[-1]]))


def _is_secret(field: FieldInfo | None) -> bool:
    return field is None or "Secret" in repr(field.annotation)


def _expected(field: FieldInfo) -> str:
    optional = type(None) in get_args(field.annotation)
    words = next((item.words for item in field.metadata if isinstance(item, Expected)), None) or _expected_type(
        field.annotation, field.metadata
    )
    return f"{words}, or None" if optional else words


def _expected_type(annotation: Any, metadata: Iterable[object]) -> str:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected_type(argument, metadata) for argument in get_args(annotation) if argument is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(map(repr, get_args(annotation)))
    if hasattr(annotation, "__metadata__"):
        inner = annotation.__metadata__
        words = next((item.words for item in inner if isinstance(item, Expected)), None)
        return words or _expected_type(annotation.__origin__, inner)
    if annotation is bool:
        return "True or False"
    if annotation is int:
        lowest = next((item.ge for item in _flat(metadata) if isinstance(item, Ge)), None)
        highest = next((item.le for item in _flat(metadata) if isinstance(item, Le)), None)
        if lowest is None:
            return "a whole number (int)"
        return f"an int from {lowest} to {highest}" if highest is not None else f"an int of at least {lowest}"
    return getattr(annotation, "__name__", str(annotation))


def _flat(metadata: Iterable[object]) -> Iterable[object]:
    for item in metadata:
        yield from getattr(item, "metadata", (item,))
