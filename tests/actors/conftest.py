"""What all tests of the actors share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


def _drop(*_event: object) -> None:
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Trouble is what these tests make; what it logs would only slow them down. `structlog.testing.capture_logs` still sees it."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)
