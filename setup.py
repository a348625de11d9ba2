"""Builds the compiled core (see klife/core.py) where that is possible, and installs klife without it where it
is not.

Everything else about the package is in setup.cfg and pyproject.toml. KLIFE_PURE=1 leaves the compiled core
out.
"""

from __future__ import annotations

import os
import runpy
import warnings
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

_DIRECTIVES = {
    "language_level": 3,
    # The sources' annotations are for readers and mypy; what C types there are is in the .pxd files.
    "annotation_typing": False,
    # Whatever a program does, it gets an exception (klife/core.py). A method of a compiled class is a method
    # descriptor, which looks at `self`; its signature, which that would else not know, is in its text
    # signature.
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    # A typed field or argument may be None.
    "nonecheck": True,
    # Classes say themselves how they are pickled.
    "auto_pickle": False,
}
_C_SOURCES = "build/cython"


def compiled_core() -> list[Extension]:
    if os.environ.get("KLIFE_PURE", "") not in ("", "0"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []

    modules: tuple[str, ...] = runpy.run_path("klife/core.py")["MODULES"]
    extensions = [
        Extension(
            name,
            [name.replace(".", "/") + ".py"],
            optional=True,
            extra_compile_args=["-O2", "-g0", "-w"],
            depends=["setup.py"],
        )
        for name in modules
    ]
    try:
        built: list[Extension] = cythonize(
            extensions,
            compiler_directives=_DIRECTIVES,
            build_dir=_C_SOURCES,
            nthreads=os.cpu_count() or 1,
            force=_older_than_this_file(f"{_C_SOURCES}/{name.replace('.', '/')}.c" for name in modules),
        )
        return built
    except Exception as error:  # noqa: BLE001 - whatever stands in the way, klife is installed
        warnings.warn(f"klife is installed without its compiled core: {error}", stacklevel=2)
        return []


def _older_than_this_file(generated: Iterable[str]) -> bool:
    """Whether something there is of other directives: Cython itself looks at the sources only."""
    mine = os.path.getmtime(__file__)
    return any(os.path.exists(file) and os.path.getmtime(file) < mine for file in generated)


class BuildIfPossible(build_ext):
    """Leaves the core out where it cannot be compiled. setuptools takes only some of its compilers' errors
    for that.
    """

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever stands in the way, klife is installed
            self.warn(f"klife is installed without its compiled core: {error}")
            self.extensions = []
        if self.inplace and self.extensions:
            self._forget_former_modules()

    def _forget_former_modules(self) -> None:
        """Remove what was once compiled and is not of the core any more: Python would import it, and not its
        source.
        """
        built = {Path(self.get_ext_fullpath(extension.name)).resolve() for extension in self.extensions}
        for suffix in EXTENSION_SUFFIXES:
            for file in Path("klife").rglob(f"*{suffix}"):
                if file.resolve() not in built:
                    file.unlink()


setup(ext_modules=compiled_core(), cmdclass={"build_ext": BuildIfPossible})
