"""freezegun in a suite that uses klife: the suite's clocks stand still, and klife's do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SECONDS = 280.0


def run(folder: Path, suite: str) -> str:
    (folder / "test_shop.py").write_text(dedent(suite))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"]
    ended = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("how", ["at_once", "in_the_test"])
def test_deadlines_pass_while_time_is_frozen(tmp_path: Path, how: str) -> None:
    at_once, in_the_test = ("from freezegun import freeze_time", "") if how == "at_once" else ("", "import test_more")
    (tmp_path / "test_more.py").write_text("import freezegun\n")
    suite = f"""
        import time
        from datetime import date

        import pytest
        {at_once}
        from klife import Client, ProduceError, Record

        def test_nothing_yet():
            {in_the_test or "pass"}

        def test_an_order_is_refused_in_time():
            from freezegun import freeze_time

            with Client.start("127.0.0.1:1", max_block_ms=200) as client, freeze_time("2020-02-29"):
                stopped = time.monotonic()
                with pytest.raises(ProduceError):
                    client.produce(Record("orders", b"v"))
                assert date.today() == date(2020, 2, 29)
                assert time.monotonic() == stopped
    """
    assert "2 passed" in run(tmp_path, suite)


def test_a_suite_without_freezegun_does_not_import_it(tmp_path: Path) -> None:
    suite = """
        import sys

        def test_it():
            assert "freezegun" not in sys.modules
    """
    assert "1 passed" in run(tmp_path, suite)
