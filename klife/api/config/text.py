"""Options written as text, as environments and properties files have them, into the Python values the models
take.

Text that cannot be read stays as it is: the model refuses it then, with the same words as any other wrong
value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from klife.api.config.option_types import is_list, model_in

if TYPE_CHECKING:
    from pydantic import BaseModel

_TRUTH = {"true": True, "false": False}


def parse(model: type[BaseModel], option: str, text: str) -> Any:
    """The value `text` stands for as `option` of `model`: words between commas, JSON for what holds settings,
    or a scalar.

    Raises:
        ValueError: it should be JSON and is not. The text is not in the error, because it may hold a secret.
    """
    annotation = model.model_fields[option].annotation
    kinds = get_args(annotation) or (annotation,)
    text = text.strip()
    if bool in kinds and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if model_in(annotation) or (is_list(annotation) and not _is_word(kinds[0])):
        return _json(text)
    if is_list(annotation):
        return [part.strip() for part in text.split(",") if part.strip()]
    if int in kinds or get_origin(annotation) is Literal:
        return _number(text)
    return text


def _is_word(annotation: Any) -> bool:
    """Whether a list's elements of that type are words: any str, or those of a Literal."""
    bare = getattr(annotation, "__origin__", annotation)
    return bare is str or bare is Literal


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
    raise ValueError(reason)


def _number(text: str) -> int | str:
    digits = text.removeprefix("-")
    # Longer ones are out of every range, and int() refuses more than some thousand digits with an error of
    # its own.
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 30 else text
