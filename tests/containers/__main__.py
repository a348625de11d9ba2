"""`python -m tests.containers`, what `make containers` runs: an engine, Kafka's image, and the checks. Where no
engine can be had it says so, and that nothing was checked.
"""

from __future__ import annotations

import os
import sys

import pytest

from klife.testing.jars import full_version
from tests.containers.engine import NoEngine, container_engine
from tests.containers.image import have_image

VERSION = full_version(None)


def main() -> int:
    try:
        with container_engine() as engine:
            version = engine.version()
            print(f"engine: {version['Components'][0]['Name']} {version['Components'][0]['Version']}", flush=True)
            print(f"apache/kafka:{VERSION} {have_image(engine, VERSION)}", flush=True)
            if not _has_reaper(engine):
                print("testcontainers' reaper can not be pulled: goes without it", flush=True)
                os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
            return pytest.main(["-q", "-p", "no:cacheprovider", "--timeout=900", "tests/containers/check_containers.py", *sys.argv[1:]])
    except NoEngine as error:
        print(f"SKIPPED, nothing was checked: {error}", file=sys.stderr)
        return 0


def _has_reaper(engine: object) -> bool:
    from testcontainers.core.config import testcontainers_config

    try:
        engine.images.pull(testcontainers_config.ryuk_image)  # type: ignore[attr-defined]
    except Exception:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
