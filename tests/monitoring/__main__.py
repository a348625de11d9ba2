"""`python -m tests.monitoring`, what `make monitoring` runs. Where no Prometheus is installed it says so, and that
nothing was checked.
"""

from __future__ import annotations

import shutil
import sys

import pytest


def main() -> int:
    if shutil.which("prometheus") is None:
        print("SKIPPED, nothing was checked: no prometheus on the PATH (Debian: apt-get install prometheus)", file=sys.stderr)
        return 0
    return pytest.main(["-q", "-p", "no:cacheprovider", "--timeout=300", "tests/monitoring/check_monitoring.py", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
