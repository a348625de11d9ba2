"""Options written as text, as environments and properties files have them, into the Python values the models take.

Text that cannot be read stays as it is: the model refuses it then, with the same words as any other wrong value.
"""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

_TRUTH = {"true": True, "false": False}


def parse(model: type[BaseModel], option: str, text: str) -> Any:
    """The value `text` stands for as `option` of `model`."""
    annotation = model.model_fields[option].annotation
    kinds = get_args(annotation) or (annotation,)
    text = text.strip()
    if int in kinds or get_origin(annotation) is Literal:
        return _number(text)
    if bool in kinds:
        return _TRUTH.get(text.lower(), text)
    return text


def parse_list(text: str) -> list[str]:
    """The parts between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parse_json(text: str) -> Any:
    """The value of a JSON text; `ValueError` without the text in it, because it may hold a secret."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
    raise ValueError(reason)


def _number(text: str) -> int | str:
    digits = text.removeprefix("-")
    # Longer ones are out of every range, and int() refuses more than some thousand digits with an error of its own.
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 30 else text
