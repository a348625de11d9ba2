"""Builds the compiled core (see klife/core.py) where that is possible, and installs klife without it where it
is not.

Everything else about the package is in setup.cfg and pyproject.toml. KLIFE_PURE=1 leaves the compiled core
out. KLIFE_DISTRIBUTION=klife-pure does too, and gives what is built that name (CONTRIBUTING.md says why).
"""

from __future__ import annotations

import os
import re
import runpy
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import Extension, setup
from setuptools.command.build import build
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
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https://)[^)]*\)")
_ASIDE = re.compile(r"\s\(\[[^\]]*\]\((?!https://)[^)]*\)\)")  # in parentheses, and nothing but a link
_PICTURE = re.compile(r"^!\[[^\]]*\]\((?!https://)[^)]*\)\n+", re.MULTILINE)
_COMMENT = re.compile(r"^<!--.*?-->\n+", re.MULTILINE | re.DOTALL)


def distribution() -> str:
    """The name of what is built."""
    name = os.environ.get("KLIFE_DISTRIBUTION") or "klife"
    if name not in ("klife", "klife-pure"):
        raise SystemExit(f"KLIFE_DISTRIBUTION is {name!r}; there are klife and klife-pure")
    return name


def readme() -> str:
    """README.md for readers who have no repository around it: links into it become their text, and pictures go."""
    text = Path("README.md").read_text(encoding="utf-8")
    for pattern in (_COMMENT, _PICTURE, _ASIDE):
        text = pattern.sub("", text)
    return _LINK.sub(r"\1", text)


def core() -> list[Extension]:
    """The modules to compile. What they are made of is found out when they are built, and not by whoever asks
    for metadata.
    """
    if os.environ.get("KLIFE_PURE", "") not in ("", "0") or distribution() == "klife-pure":
        return []
    modules: tuple[str, ...] = runpy.run_path("klife/core.py")["MODULES"]
    return [
        Extension(
            name,
            [name.replace(".", "/") + ".py"],
            optional=True,
            extra_compile_args=["-O2", "-g0", "-w"],
            depends=["setup.py"],
        )
        for name in modules
    ]


class BuildAnew(build):
    """Builds in a folder of its own: what an earlier build has left in build/, of modules that are gone or in
    another state, gets into no installation. Only `build_ext --inplace`, which developers run again and again,
    goes on from there.
    """

    def finalize_options(self) -> None:
        if self.build_base == "build" and not self.distribution.get_command_obj("build_ext").inplace:
            self._folder = TemporaryDirectory(prefix="klife-build-")  # which goes with this object
            self.build_base = self._folder.name
        super().finalize_options()


class BuildIfPossible(build_ext):
    """Leaves the core out where it cannot be compiled. setuptools takes only some of its compilers' errors
    for that.
    """

    def run(self) -> None:
        try:
            if self.extensions:
                self._write_c()
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever stands in the way, klife is installed
            self.warn(f"klife is installed without its compiled core: {error}")
            self.extensions = []
        if self.inplace and self.extensions:
            self._forget_former_modules()

    def _write_c(self) -> None:
        """Have Cython make C of the sources, if there is somebody to compile it."""
        from Cython.Build import cythonize

        self._try_compiler()
        folder = os.path.join(self.get_finalized_command("build").build_base, "cython")
        generated = (os.path.join(folder, extension.name.replace(".", "/") + ".c") for extension in self.extensions)
        made = cythonize(
            self.extensions,
            compiler_directives=_DIRECTIVES,
            build_dir=folder,
            nthreads=os.cpu_count() or 1,
            cache=os.environ.get("CYTHON_CACHE_DIR", False),  # of C that was made of the same sources before
            force=_older_than_this_file(generated),
        )
        # All that the sources say of how they are compiled, their macros included.
        of_name = {extension.name: vars(extension) for extension in made}
        for extension in self.extensions:
            vars(extension).update(of_name[extension.name])

    def _try_compiler(self) -> None:
        """Raise what it says where it does not work: Cython's half a minute would be for nothing."""
        from distutils.ccompiler import new_compiler  # setuptools' own, of which Python 3.12 has no other
        from distutils.sysconfig import customize_compiler

        compiler = new_compiler()
        customize_compiler(compiler)
        with TemporaryDirectory() as folder:
            source = Path(folder, "try.c")
            source.write_text("#include <Python.h>\n")
            compiler.compile([str(source)], output_dir=folder, include_dirs=self.include_dirs)

    def _forget_former_modules(self) -> None:
        """Remove what was once compiled and is not of the core any more: this Python would import it, and not its
        source. What is another Python's is left to that.
        """
        built = {Path(self.get_ext_fullpath(extension.name)).resolve() for extension in self.extensions}
        for file in Path("klife").rglob("*"):
            suffix = file.name[file.name.find(".") :]
            if suffix in EXTENSION_SUFFIXES and file.resolve() not in built:
                file.unlink()


def _older_than_this_file(generated: Iterable[str]) -> bool:
    """Whether something there is of other directives: Cython itself looks at the sources only."""
    mine = os.path.getmtime(__file__)
    return any(os.path.exists(file) and os.path.getmtime(file) < mine for file in generated)


setup(
    name=distribution(),
    long_description=readme(),
    ext_modules=core(),
    cmdclass={"build": BuildAnew, "build_ext": BuildIfPossible},
)
