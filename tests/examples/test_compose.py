"""examples/compose: its parts agree with each other, and with klife. No engine is needed for that."""

from __future__ import annotations

import json
import os
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from klife import ClientConfig
from tests.support.dashboard import asked, exported
from tests.support.example import EXAMPLES

FOLDER = EXAMPLES / "compose"
ROOT = EXAMPLES.parent
SHOP = "shop"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


SERVICES: dict[str, dict[str, Any]] = read("docker-compose.yml")["services"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def mounts(service: str) -> dict[str, Path]:
    """What is mounted, by the path in the container."""
    parts = [mount.split(":") for mount in SERVICES[service]["volumes"]]
    return {inside: (FOLDER / outside).resolve() for outside, inside, _ in parts}


def published(service: str) -> dict[str, str]:
    """Ports on this machine, by those in the container."""
    return {inside: outside for outside, inside in (port.split(":") for port in SERVICES[service]["ports"])}


def listeners(setting: str) -> dict[str, str]:
    """Addresses by the listener's name."""
    return dict(each.split("://") for each in SERVICES["kafka"]["environment"][setting].split(","))


def test_every_image_is_one_of_a_version() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) == 5
    assert [image for image in images if not re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", image)] == []


def test_what_is_mounted_and_copied_exists() -> None:
    found = [path for service in SERVICES if "volumes" in SERVICES[service] for path in mounts(service).values()]
    assert len(found) == 3
    for build in (service["build"] for service in SERVICES.values() if "build" in service):
        context = (FOLDER / build["context"]).resolve()
        assert context == ROOT
        found.append(context / build["dockerfile"])
    found += [ROOT / name for name in re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.MULTILINE)]
    assert [path for path in found if not path.exists()] == []


def test_services_are_started_when_what_they_need_is_there() -> None:
    for name, service in SERVICES.items():
        for other, waited_for in service.get("depends_on", {}).items():
            assert waited_for["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], (name, other)


def test_kafkas_listeners_are_where_clients_look_for_them() -> None:
    settings = SERVICES["kafka"]["environment"]
    bound, advertised = listeners("KAFKA_LISTENERS"), listeners("KAFKA_ADVERTISED_LISTENERS")
    controller = settings["KAFKA_CONTROLLER_LISTENER_NAMES"]
    protocols = dict(each.split(":") for each in settings["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))

    assert bound.keys() == protocols.keys() == {*advertised, controller}
    assert settings["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    assert {name: address.rpartition(":")[2] for name, address in advertised.items()} == {
        name: address.rpartition(":")[2] for name, address in bound.items() if name != controller
    }
    assert settings["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{settings['KAFKA_NODE_ID']}@kafka{bound[controller]}"
    for client in (SHOP, "topics"):
        assert SERVICES[client]["environment"]["KLIFE_BOOTSTRAP_SERVERS"] == advertised["INTERNAL"] == "kafka:19092"
    host, port = advertised["HOST"].split(":")
    assert (host, published("kafka")[port]) == ("localhost", port)


def test_the_service_makes_its_topic_and_its_options_are_klifes(monkeypatch: pytest.MonkeyPatch) -> None:
    [wanted] = re.findall(r'Record\("(\w+)"', (EXAMPLES / "observed_service" / "app.py").read_text())
    assert f"klife topics create {wanted} " in SERVICES["topics"]["command"][-1]
    monkeypatch.setattr(os, "environ", {**SERVICES[SHOP]["environment"], "PROMETHEUS_MULTIPROC_DIR": "unused"})
    settings = runpy.run_path(str(EXAMPLES / "observed_service" / "gunicorn.conf.py"))
    config = ClientConfig.from_env()
    assert config.max_block_ms + config.delivery_timeout_ms + 2000 <= settings["graceful_timeout"] * 1000
    assert int(SERVICES[SHOP]["stop_grace_period"].removesuffix("s")) > settings["graceful_timeout"]


def test_prometheus_looks_where_the_service_serves() -> None:
    assert mounts("prometheus")["/etc/prometheus/prometheus.yml"] == FOLDER / "prometheus.yml"
    [job] = read("prometheus.yml")["scrape_configs"]
    [target] = [target for each in job["static_configs"] for target in each["targets"]]
    host, port = target.split(":")
    assert host == SHOP
    assert f"EXPOSE {port}\n" in DOCKERFILE
    command = json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[-1])
    assert command[command.index("--bind") + 1] == f"0.0.0.0:{port}"
    assert published(SHOP)[port] == port
    assert f"localhost:{port}/readyz" in SERVICES[SHOP]["healthcheck"]["test"][-1]
    assert '@app.get("/metrics")' in (EXAMPLES / "observed_service" / "app.py").read_text()


def test_grafana_shows_klifes_dashboard_of_that_prometheus() -> None:
    [source] = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"] == f"http://prometheus:{next(iter(published('prometheus')))}"
    [provider] = read("grafana/provisioning/dashboards/klife.yml")["providers"]
    [shown] = [inside for inside in mounts("grafana") if inside.startswith(provider["options"]["path"] + "/")]
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == shown
    assert mounts("grafana")["/etc/grafana/provisioning"] == FOLDER / "grafana" / "provisioning"
    dashboard = mounts("grafana")[shown]
    variables = {variable["name"]: variable for variable in json.loads(dashboard.read_text())["templating"]["list"]}
    assert variables["datasource"]["query"] == source["type"]
    assert asked(dashboard)
    assert asked(dashboard) <= exported()
