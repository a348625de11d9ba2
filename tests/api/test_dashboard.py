"""Grafana's dashboard is read by the types that its makers give away for programs that write dashboards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.support import ROOT

DASHBOARD = json.loads((ROOT / "klife" / "metrics" / "grafana-dashboard.json").read_text())


def understood(dashboard: dict[str, Any]) -> Any:
    """What of it Grafana's types have a place for."""
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def missing(wanted: Any, found: Any, place: str = "") -> list[str]:
    """Where in `wanted` there is something that is not the same in `found`."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [each for key in wanted for each in missing(wanted[key], found.get(key), f"{place}.{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [each for n, pair in enumerate(zip(wanted, found, strict=True)) for each in missing(*pair, f"{place}[{n}]")]
    return [] if wanted == found else [place]


@pytest.fixture(scope="module", autouse=True)
def _kinds_of_panels() -> None:
    register_default_plugins()


def test_grafana_knows_all_that_the_dashboard_says() -> None:
    assert missing(DASHBOARD, understood(DASHBOARD)) == []


def test_a_field_that_grafana_does_not_know_is_noticed() -> None:
    wrong = json.loads(json.dumps(DASHBOARD))
    target = wrong["panels"][0]["targets"][0]
    target["expresion"] = target.pop("expr")
    wrong["panels"][1]["fieldConfig"]["defaults"]["custom"]["lineWith"] = 3
    assert missing(wrong, understood(wrong)) == [
        ".panels[0].targets[0].expresion",
        ".panels[1].fieldConfig.defaults.custom.lineWith",
    ]
