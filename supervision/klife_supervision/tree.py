"""A supervision tree as a value: looked at, printed, and poked."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A supervisor or worker as it was when the tree was taken; `str()` draws it with all below it.

    `state` of a worker is its own `state` attribute where it has one. `restarts` counts how often its
    supervisor restarted it. Pickled, it can be looked at in another process, and kills nothing there.
    """

    id: Hashable
    kind: Literal["supervisor", "worker"]
    state: str
    restarts: int
    children: tuple[TreeNode, ...] = ()
    end: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def kill(self) -> None:
        """End what was running here brutally, as a crash would; its supervisor decides what follows. Nothing
        if it has ended.
        """
        if self.end is not None:
            self.end()

    def __copy__(self) -> TreeNode:
        return self

    def __deepcopy__(self, _memo: object) -> TreeNode:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return TreeNode, (self.id, self.kind, self.state, self.restarts, self.children)

    def __str__(self) -> str:
        lines = [self._label()]
        for index, child in enumerate(self.children):
            last = index == len(self.children) - 1
            first, *rest = str(child).splitlines()
            lines.append(("└─ " if last else "├─ ") + first)
            lines.extend(("   " if last else "│  ") + line for line in rest)
        return "\n".join(lines)

    def _label(self) -> str:
        parts = [str(self.id), self.state]
        if self.kind == "supervisor":
            parts.insert(1, "(supervisor)")
        if self.restarts:
            parts.append(f"{self.restarts} restart" + ("s" if self.restarts > 1 else ""))
        return "  ".join(parts)
