"""The base of all configuration models: frozen, strict, and wrong in one `ConfigError` instead of pydantic's
own error.

Pydantic stops before cross-checks when a field is wrong, and a user would meet the second mistake only after
mending the first. So a model that does not validate is validated a second time without what was wrong;
whatever its cross-checks then find, and does not hang on a part that was taken out, is reported too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from klife.api.config.messages import explain
from klife.api.config.problem import Problem as Problem
from klife.api.config.words import Loc, Origins
from klife.errors import ConfigError

M = TypeVar("M", bound="Options")


class CrossCheckFailed(ValueError):
    """Carries the problems of an otherwise valid model through pydantic's ValidationError."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(problem.line({}) for problem in problems))


if TYPE_CHECKING:
    _Model = BaseModel
else:

    class _ExplainedErrors(type(BaseModel)):  # pydantic's metaclass has no public name to give a type checker
        # Building a model is where a user meets an error. Nested models are made by pydantic without this
        # call, so that their errors arrive with the full path at the outermost one.
        def __call__(cls, /, **options):
            model, problems = attempt(cls, options)
            if model is None:
                raise ConfigError(problems)
            return model

    class _Model(BaseModel, metaclass=_ExplainedErrors):
        pass


class Options(_Model):
    """A frozen set of options. Building one raises `ConfigError`, listing everything that is wrong with it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )

    stand_ins: ClassVar[Mapping[str, Any]] = {}
    """For each option that must be given, a value to look for further mistakes with while it is wrong."""

    def _cross_check(self) -> list[Problem]:
        """What is wrong between options that are each right."""
        return []

    @model_validator(mode="after")
    def _check_across(self) -> Self:
        if problems := self._cross_check():
            raise CrossCheckFailed(problems)
        return self


def attempt(cls: type[M], options: Mapping[str, Any], origins: Origins | None = None) -> tuple[M | None, list[str]]:
    """The model, or None and one line for everything wrong. `origins` names where an option came from, such
    as KLIFE_LINGER_MS.
    """
    origins = origins or {}
    rest, broken = dict(options), list[Loc]()
    model, lines, wrong = _validate(cls, rest, origins, broken)
    while wrong:  # more than once where a model within another fails its own cross-checks, before those of the other
        rest, taken_out = _without(cls, rest, wrong)
        if all(loc in broken for loc in taken_out):
            break
        broken = [*broken, *taken_out]
        _, found, wrong = _validate(cls, rest, origins, broken, only_across=True)
        lines += found
    return (None if lines else model), lines


def _validate(
    cls: type[M], options: Mapping[str, Any], origins: Origins, broken: Sequence[Loc], *, only_across: bool = False
) -> tuple[M | None, list[str], list[Loc]]:
    """The model; the lines about it; where single options are wrong."""
    # The lines are made after the except clause: a ConfigError raised inside it would carry pydantic's error,
    # inputs and all.
    try:
        return cls.model_validate(options), [], []
    except ValidationError as error:
        details = error.errors(include_url=False)
    lines: list[str] = []
    wrong: list[Loc] = []
    for detail in details:
        cause = detail.get("ctx", {}).get("error")
        loc = detail["loc"]
        if isinstance(cause, CrossCheckFailed):
            problems = [problem.below(loc) for problem in cause.problems]
            lines += [problem.line(origins) for problem in problems if not problem.rests_on(broken)]
        elif not only_across:
            lines.append(explain(cls, detail, origins))
        if loc:
            wrong.append(loc)
    return None, lines, wrong


def _without(cls: type[M], options: Mapping[str, Any], wrong: Sequence[Loc]) -> tuple[dict[str, Any], list[Loc]]:
    """A copy without what was wrong, and what was taken out: one option of a list's element, or the whole
    option.
    """
    rest = dict(options)
    taken_out: list[Loc] = []
    for loc in wrong:
        match loc:
            case (str(field), int(index), str(inner), *_) if isinstance(rest.get(field), list | tuple):
                elements = list(rest[field])
                element = dict(elements[index])
                element.pop(inner, None)
                if inner == "name":  # the one option an element must have; a stand-in equal to no other name
                    element["name"] = f"__stand_in_{index}__"
                elements[index] = element
                rest[field] = elements
                taken_out.append((field, index, inner))
            case (str(field), str(inner), *_) if isinstance(rest.get(field), Mapping) and inner in rest[field]:
                rest[field] = {name: value for name, value in rest[field].items() if name != inner}
                taken_out.append((field, inner))
            case (field, *_):
                rest.pop(str(field), None)
                rest |= {name: value for name, value in cls.stand_ins.items() if name == field}
                taken_out.append((field,))
    return rest, taken_out
