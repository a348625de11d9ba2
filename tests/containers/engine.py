"""A container engine: the one that answers already, or Podman from the distribution's packages, started for
the time of a `with` block.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker

START_SECONDS = 30.0
_LIMIT = 8192  # of files and processes, for a broker


class NoEngine(Exception):
    """Says what is missing."""


@contextlib.contextmanager
def container_engine() -> Iterator[docker.DockerClient]:
    """A client of an engine that answers, which testcontainers finds, too.

    Raises:
        NoEngine: none answers, and none can be started here.
    """
    with contextlib.suppress(Exception):
        client = docker.from_env()
        client.ping()
        yield client
        return
    podman = shutil.which("podman")
    if podman is None:
        raise NoEngine("no container engine answers, and podman is not installed (Debian: apt-get install podman runc)")
    with tempfile.TemporaryDirectory(prefix="klife-engine-") as folder, _podman(podman, Path(folder)) as address:
        os.environ["DOCKER_HOST"] = address
        client = docker.from_env()
        yield client


@contextlib.contextmanager
def _podman(podman: str, folder: Path) -> Iterator[str]:
    """Podman's Docker-compatible socket."""
    settings = folder / "containers.conf"
    settings.write_text(_settings())
    address = f"unix://{folder / 'podman.sock'}"
    environment = {**os.environ, "CONTAINERS_CONF": str(settings)}
    with (folder / "podman.log").open("wb") as log:
        service = subprocess.Popen([podman, "system", "service", "--time=0", address], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (folder / "podman.sock").exists():
            if service.poll() is not None or time.monotonic() > deadline:
                raise NoEngine(f"podman does not serve: {(folder / 'podman.log').read_text()}")
            time.sleep(0.05)
        yield address
    finally:
        service.terminate()
        service.wait(START_SECONDS)


def _settings() -> str:
    """Where root has not all of root's rights, as in some virtual machines and CI runners: no limit above the
    present ones can be set, and crun takes no cgroups that are partly of version 1.
    """
    limits = []
    for name, which in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        limit = min(resource.getrlimit(which)[1] % (1 << 63), _LIMIT)  # -1 is none
        limits.append(f'"{name}={limit}:{limit}"')
    lines = ["[containers]", f"default_ulimits = [{', '.join(limits)}]"]
    if Path("/sys/fs/cgroup/unified").exists() and shutil.which("runc"):
        lines += ["[engine]", 'runtime = "runc"']
    return "\n".join(lines) + "\n"
