"""Kafka's image, pulled, or where no registry is reached made here: this machine's Java runtime with the
libraries that it loads, and Kafka's jars. Kafka's own setup for its image is among them (`KafkaDockerWrapper`),
so that a local image takes its properties and formats its storage as the real one does.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import docker

from klife.testing.cluster_docker import IMAGE
from klife.testing.cluster_jars import LOG4J2
from klife.testing.jars import kafka_jars
from klife.testing.java import find_java

_RUN = """#!/bin/sh
classes='/opt/kafka/libs/*'
said=$(java -cp "$classes" kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \\
    --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) || case "$said" in
    *'already formatted'*) ;;
    *) echo "$said"; exit 1 ;;
esac
exec java $KAFKA_HEAP_OPTS -Dlog4j2.configurationFile=/etc/kafka/docker/log4j2.xml -cp "$classes" \\
    kafka.Kafka /opt/kafka/config/server.properties
"""
_FOLDERS = ("tmp", "etc/kafka/docker", "mnt/shared/config", "opt/kafka/config", "opt/kafka/libs")
_NOT_FOR_BROKERS = ("jmods", "include", "man", "demo")


def have_image(client: docker.DockerClient, version: str) -> str:
    """Have `apache/kafka` of this version in the engine; how it came there."""
    with_tag = f"{IMAGE}:{version}"
    try:
        client.images.get(with_tag)
        return "is there"
    except docker.errors.ImageNotFound:
        pass
    try:
        client.images.pull(IMAGE, version)
        return "was pulled"
    except docker.errors.APIError:
        pass
    changes = ['CMD ["/etc/kafka/docker/run"]', "ENV PATH=/opt/java/bin:/bin"]
    answer = client.api.import_image_from_data(_file_system(version), IMAGE, version, changes=changes)
    made = json.loads(answer.splitlines()[-1])["status"]
    client.images.get(made).tag(IMAGE, version)  # Podman does not look at the tag above
    return "was made here, from the jars"


def _file_system(version: str) -> bytes:
    home = Path(find_java()).resolve().parent.parent
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
        for folder in _FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
        for path in home.rglob("*"):  # a link may lead nowhere: to sources that are another package's
            inside = path.relative_to(home)
            if inside.parts[0] not in _NOT_FOR_BROKERS and path.is_file():
                archive.add(path, f"opt/java/{inside}")
        shell = str(Path(shutil.which("sh") or "/bin/sh").resolve())
        archive.add(shell, "bin/sh")
        programs = [shell, *map(str, home.glob("bin/*")), *map(str, home.rglob("*.so"))]
        for library in sorted(_libraries(programs)):
            if not library.startswith(str(home)):
                archive.add(library, library.lstrip("/"))
        for jar in kafka_jars(version).glob("*.jar"):
            archive.add(jar, f"opt/kafka/libs/{jar.name}")
        for name, text in (("run", _RUN), ("log4j2.xml", LOG4J2)):
            entry = tarfile.TarInfo(f"etc/kafka/docker/{name}")
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def _libraries(programs: list[str]) -> set[str]:
    """The paths of all shared libraries, and of what loads them."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(?:=> |^\t)(/\S+) \(", listed, re.MULTILINE))
