"""What the protocol's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from klife.testing import jars


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The folder with the jars of the Kafka that klife is tested on."""
    return jars.kafka_jars()
