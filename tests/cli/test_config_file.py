"""`--config FILE`: Kafka's properties, as Java's tools take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from klife import ConfigError
from klife.cli.terminal import configuration
from tests.support.cli_command import RunKlife


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "client.properties"
    path.write_text("bootstrap.servers=of-file:1\nlinger.ms=5\nacks=1\n")
    return path


@pytest.mark.parametrize("variable", [None, "of-variable:1"])
def test_an_option_wins_over_the_file_and_the_file_over_a_variable(
    file: Path, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KLIFE_BOOTSTRAP_SERVERS", raising=False)
    if variable is not None:
        monkeypatch.setenv("KLIFE_BOOTSTRAP_SERVERS", variable)
    config = configuration(None, file)
    assert (config.bootstrap_servers, config.linger_ms, config.acks) == (("of-file:1",), 5, 1)
    config = configuration("of-option:1", file, acks="all", compression_type=None)
    assert (config.bootstrap_servers, config.linger_ms, config.acks) == (("of-option:1",), 5, "all")
    assert configuration(None, None).bootstrap_servers == (variable or "localhost:9092",)
    file.write_text("metadata.broker.list=of-file:2")
    assert configuration(None, file).bootstrap_servers == ("of-file:2",)
    assert configuration("of-option:1", file).bootstrap_servers == ("of-option:1",)
    file.write_text("linger.ms=5")
    assert configuration(None, file).bootstrap_servers == (variable or "localhost:9092",)


def test_everything_wrong_in_the_file_comes_in_one_error(file: Path) -> None:
    file.write_text("lingr.ms=5\nacks=7\n")
    with pytest.raises(ConfigError) as caught:
        configuration(None, file)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("command", [["produce", "orders"], ["topics"], ["tree"], ["demo"], ["doctor"]])
def test_a_file_that_is_of_no_use_is_told_in_a_line(run_klife: RunKlife, command: list[str], file: Path) -> None:
    file.write_text(
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=hunter2\nssl.ca.location=missing.pem\n"
    )
    done = run_klife(*command, "--config", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith("klife: tls.ca_file: 'missing.pem' can not be read")
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr
