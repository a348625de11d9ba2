"""What a newcomer does with examples/observed_service, from a wheel to SIGTERM under load, with brokers that go away."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from klife.testing.fake import FakeCluster
from tests.support import ROOT
from tests.support.example import EXAMPLES, PATIENCE, Example, environment, running, told
from tests.support.waiting import wait_until
from tests.support.web_load import VISITORS, Load, assert_each_once
from tests.support.web_service import Visitor

NAME = "observed_service"
WORKERS = 4
ORDERS = 500
IMPATIENT = {
    "SHOP_MAX_SILENCE_MS": "2000",
    "KLIFE_MAX_BLOCK_MS": "5000",
    "KLIFE_DELIVERY_TIMEOUT_MS": "5000",  # which visitors of a broker that is away wait out; a loaded machine needs some of it
    "KLIFE_REQUEST_TIMEOUT_MS": "3000",
}


def ran(command: list[str], cwd: Path, **environ: str) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment("localhost:1", **environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a virtual environment into which klife was installed from a wheel. What it needs is beside pytest."""
    folder = tmp_path_factory.mktemp("newcomer")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder)]
    ran([*pip, *build, str(ROOT)], folder, KLIFE_DISTRIBUTION="klife-pure")
    ran([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], folder)
    found = folder / "venv" / "bin" / "python"
    [wheel] = folder.glob("klife_pure-*.whl")
    ran([*pip, "--python", str(found), "install", "--no-deps", "--no-index", str(wheel)], folder)
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "beside.pth").write_text("\n".join(paths))  # in which the .pth of an editable klife says nothing
    ran([str(found), "-c", f"import klife; assert klife.__file__.startswith({str(packages)!r}), klife.__file__"], folder)
    return found


def get(service: Example, path: str) -> tuple[int, str]:
    visitor = Visitor(service.port)
    try:
        status, text = visitor.get(path)
        return status, text.decode()
    finally:
        visitor.leave()


def counted(service: Example, metric: str) -> int:
    """The sum over all its labels, as one scrape tells it."""
    _, text = get(service, "/metrics")
    return int(sum(map(float, re.findall(rf"^{metric}\{{.*\}} (\S+)$", text, re.MULTILINE))))


def readiness(service: Example) -> set[int]:
    """What several workers say."""
    return {get(service, "/readyz")[0] for _ in range(2 * WORKERS)}


def test_from_a_wheel_to_a_service_that_loses_nothing(python: Path, tmp_path: Path) -> None:
    pytest_arguments = told(NAME, "pytest")
    ran([str(python), *pytest_arguments, "-q", "-p", "no:cacheprovider"], EXAMPLES / NAME, PYTHONDONTWRITEBYTECODE="1")

    command = [*told(NAME, "gunicorn"), "--bind", "127.0.0.1:0"]
    with (
        FakeCluster(topics={"orders": 6}) as kafka,
        running(NAME, command, kafka.bootstrap_servers, tmp_path, IMPATIENT, python=python) as service,
    ):
        load = Load(service, "/orders", ORDERS // VISITORS, once_ready="/readyz")
        load.wait()
        assert load.refusals == []
        assert assert_each_once(kafka.records("orders"), load) == ORDERS
        wait_until(lambda: counted(service, "klife_records_delivered_total") == ORDERS)
        assert {counted(service, "klife_records_delivered_total") for _ in range(2 * WORKERS)} == {ORDERS}

        kafka.stop(1)
        wait_until(lambda: readiness(service) == {503}, PATIENCE)
        assert get(service, "/livez")[0] == 200
        refused = Load(service, "/orders", 1)
        refused.wait()
        assert refused.statuses == {503}
        kafka.start(1)
        again = Load(service, "/orders", 5, once_ready="/readyz")
        again.wait()
        assert again.refusals == []
        delivered = len(load.answered) + len(again.answered)
        wait_until(lambda: counted(service, "klife_records_delivered_total") == delivered)
        assert counted(service, "klife_records_failed_total") <= len(refused.answered)

        last = Load(service, "/orders", 100_000)
        wait_until(lambda: len(last.answered) > 100, PATIENCE)
        assert service.terminate() == 0, service.log
        last.wait()

        found = kafka.records("orders")
        assert_each_once(found, load, again, last)
        reports = re.findall(r"klife: StopReport\(delivered=(\d+), failed=\d+, undelivered=0\)", service.log)
        assert len(reports) == WORKERS, service.log
        assert sum(map(int, reports)) == len(found)
        assert service.log.count("INFO klife.metadata client_connected client='shop'") == WORKERS
        assert "WARNING klife.connection connection_failed client='shop'" in service.log
