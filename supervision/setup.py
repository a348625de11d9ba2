"""Builds in a folder of its own: what an earlier build has left in build/ gets into no installation. All else
is in pyproject.toml.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory

from setuptools import setup
from setuptools.command.build import build


class BuildAnew(build):
    def finalize_options(self) -> None:
        if self.build_base == "build":
            self._folder = TemporaryDirectory(prefix="klife-supervision-build-")  # which goes with this object
            self.build_base = self._folder.name
        super().finalize_options()


setup(cmdclass={"build": BuildAnew})
