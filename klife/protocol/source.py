"""Python source under construction: what both directions of the compiler write into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Source:
    """Lines of one generated function, the objects they refer to, and names that do not clash."""

    def __init__(self, signature: str, names: dict[str, Any]) -> None:
        self._lines = [f"def {signature}:"]
        self._depth = 1
        self._names = dict(names)
        self._bound: dict[tuple[str, int], str] = {}
        self._count = 0

    def line(self, text: str) -> None:
        """Add a statement at the current depth."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add `head:` and indent what is written inside the `with`."""
        self.line(f"{head}:")
        self._depth += 1
        yield
        self._depth -= 1

    def fresh(self, stem: str) -> str:
        """A variable name not used before."""
        self._count += 1
        return f"{stem}{self._count}"

    def bind(self, stem: str, value: Any) -> str:
        """The name under which the generated code finds `value`; the same object gets the same name."""
        key = (stem, id(value))
        if key not in self._bound:
            self._bound[key] = name = self.fresh(stem)
            self._names[name] = value
        return self._bound[key]

    def text(self) -> str:
        """The source, for reading."""
        return "\n".join(self._lines) + "\n"

    def compile(self, title: str) -> Callable[..., Any]:
        """The function. `title` is the file name tracebacks show."""
        exec(compile(self.text(), f"<{title}>", "exec"), self._names)
        function: Callable[..., Any] = self._names[self._lines[0].removeprefix("def ").partition("(")[0]]
        return function
