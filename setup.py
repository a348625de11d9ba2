"""Builds the compiled core (see klife/core.py) where that is possible, and installs klife without it where it is not.

Everything else about the package is in setup.cfg and pyproject.toml. KLIFE_PURE=1 leaves the compiled core out.
"""

from __future__ import annotations

import os
import runpy
import warnings
from collections.abc import Iterable

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

_DIRECTIVES = {
    "language_level": 3,
    # The sources' annotations are for readers and mypy; what C types there are is in the .pxd files.
    "annotation_typing": False,
    # Whatever a program does, it gets an exception (klife/core.py). A method of a compiled class is a method descriptor, which looks
    # at `self`; its signature, which that would else not know, is in its text signature.
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    # A typed field or argument may be None.
    "nonecheck": True,
    # Classes say themselves how they are pickled.
    "auto_pickle": False,
}
_C_SOURCES = "build/cython"
# Classes that users see are of the heap: as Python's own, they can be patched (`unittest.mock`, tracers).
_PATCHABLE = [("CYTHON_USE_TYPE_SPECS", "1")]


def compiled_core() -> list[Extension]:
    if os.environ.get("KLIFE_PURE", "") not in ("", "0"):
        return []
    try:
        from Cython.Build import cythonize
        from Cython.Compiler.Options import get_directive_defaults
    except ImportError:
        return []

    core = runpy.run_path("klife/core.py")

    def compiled(modules: Iterable[str], processes: int) -> list[Extension]:
        extensions = [
            Extension(
                name,
                [name.replace(".", "/") + ".py"],
                optional=True,
                extra_compile_args=["-O2", "-g0", "-w"],
                define_macros=_PATCHABLE if name in core["PATCHABLE"] else [],
                depends=["setup.py"],
            )
            for name in modules
        ]
        built: list[Extension] = cythonize(
            extensions,
            compiler_directives=_DIRECTIVES,
            build_dir=_C_SOURCES,
            nthreads=processes,
            force=_older_than_this_file(f"{_C_SOURCES}/{name.replace('.', '/')}.c" for name in modules),
        )
        return built

    try:
        tracked = compiled([name for name in core["MODULES"] if name not in core["UNTRACKED"]], os.cpu_count() or 1)
        # For a class this is a decorator, which the sources would have to import from Cython; for a module only its default can be set.
        get_directive_defaults()["no_gc"] = True
        return tracked + compiled(core["UNTRACKED"], 0)  # processes of their own might not know of it
    except Exception as error:  # noqa: BLE001 - whatever stands in the way, klife is installed
        warnings.warn(f"klife is installed without its compiled core: {error}", stacklevel=2)
        return []


def _older_than_this_file(generated: Iterable[str]) -> bool:
    """Whether something there is of other directives: Cython itself looks at the sources only."""
    mine = os.path.getmtime(__file__)
    return any(os.path.exists(file) and os.path.getmtime(file) < mine for file in generated)


class BuildIfPossible(build_ext):
    """Leaves the core out where it cannot be compiled. setuptools takes only some of its compilers' errors for that."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever stands in the way, klife is installed
            self.warn(f"klife is installed without its compiled core: {error}")
            self.extensions = []


setup(ext_modules=compiled_core(), cmdclass={"build_ext": BuildIfPossible})
