"""Which version of transactions a suite of both_builds.py tests.

The tests take minutes, the version is the broker's and the build the client's: so each build meets one of them
there, and both where pytest runs by itself.
"""

from __future__ import annotations

import pytest

_VERSIONS = {"compiled": ("v2",), "pure": ("v1",)}
CLUSTERS = {"v2": "kafka_cluster", "v1": "kafka_of_v1"}
"""The session's fixture with brokers of each version."""


def parametrize_clusters(metafunc: pytest.Metafunc, scope: str | None = None) -> None:
    """Give the fixture `cluster` the versions of this suite."""
    if "cluster" in metafunc.fixturenames:
        versions = _VERSIONS.get(metafunc.config.getoption("suite", None), ("v2", "v1"))
        metafunc.parametrize("cluster", versions, indirect=True, scope=scope)  # type: ignore[arg-type]
