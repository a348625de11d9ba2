"""What the README promises in numbers and names is what the project does. (Its snippets and links are looked
at in tests/docs.)
"""

from __future__ import annotations

import inspect
import re
from configparser import ConfigParser

from klife.cli.demo import demo
from klife.testing.cluster import KafkaCluster
from klife.testing.jars import DEFAULT_VERSION, LATEST_PATCH
from tests.support import ROOT

README = " ".join((ROOT / "README.md").read_text().split())
NUMBERS = {"three": 3, "50": 50}


def promised(pattern: str) -> tuple[str, ...]:
    """The groups of the pattern where the README has it."""
    found = re.search(pattern, README)
    assert found is not None, f"the README does not say {pattern!r}"
    return found.groups()


def test_its_commands_are_targets_of_the_makefile_and_the_only_ones() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    told = re.findall(r"make (\w+)`", README + (ROOT / "CONTRIBUTING.md").read_text())
    assert set(targets.split()) == set(told)


def test_continuous_integration_runs_the_second() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_it_names_the_python_that_is_required() -> None:
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")

    for version in re.findall(r"Python (\d+\.\d+) or newer", README):
        assert settings["options"]["python_requires"] == f">={version}"


def test_it_names_the_kafka_versions_that_are_tested() -> None:
    newest, oldest = promised(r"tested with (\d+\.\d+) and (\d+\.\d+)")

    assert LATEST_PATCH[newest] == DEFAULT_VERSION
    assert oldest in LATEST_PATCH


def test_the_demo_and_the_cluster_are_as_large_as_it_says() -> None:
    brokers, greenlets = promised(r"`make demo` starts (\w+) brokers, has (\w+) greenlets")
    defaults = {name: parameter.default for name, parameter in inspect.signature(demo).parameters.items()}

    assert NUMBERS[brokers] == defaults["brokers"]
    assert NUMBERS[greenlets] == defaults["greenlets"]
    (of_cluster,) = promised(r"`klife cluster up --port 9092` starts (\w+),")
    assert inspect.signature(KafkaCluster).parameters["brokers"].default == NUMBERS[of_cluster]
