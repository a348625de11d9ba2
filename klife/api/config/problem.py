"""What a check between options finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from klife.api.config.words import Loc, Origins, format_path


class Problem(NamedTuple):
    """What a cross-check found: the option to change, the sentence about it, and all the options it was
    concluded from.
    """

    loc: Loc
    text: str
    depends_on: tuple[Loc, ...] = ()

    def line(self, origins: Origins) -> str:
        return f"{format_path(self.loc, origins)}: {self.text}"

    def below(self, loc: Loc) -> Problem:
        """The same, of a model that is at `loc` in another."""
        return Problem((*loc, *self.loc), self.text, tuple((*loc, *depends) for depends in self.depends_on))

    def rests_on(self, broken: Sequence[Loc]) -> bool:
        """Whether anything it was concluded from is (in) one of the broken options."""
        return any(loc[: len(wrong)] == wrong for loc in (self.loc, *self.depends_on) for wrong in broken)
