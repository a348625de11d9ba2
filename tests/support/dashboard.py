"""Grafana's dashboard, and the metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from klife.metrics.prometheus import PrometheusHooks


def exported() -> set[str]:
    """The names of klife's metrics."""
    registry = CollectorRegistry()
    PrometheusHooks(registry)
    return set(re.findall(r"^# TYPE (\w+)", generate_latest(registry).decode(), re.MULTILINE))


def panels(dashboard: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard.read_text())["panels"]
    return found


def asked(dashboard: Path) -> set[str]:
    """The names of the metrics its panels show, without a histogram's parts."""
    expressions = [target["expr"] for panel in panels(dashboard) for target in panel.get("targets", ())]
    names = {name for expression in expressions for name in re.findall(r"klife_\w+", expression)}
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
