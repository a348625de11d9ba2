"""docs/configuration.md lists every option with the default and the meaning it has in the code."""

from __future__ import annotations

import pytest

from klife.api.config import ClientConfig
from klife.api.config.options import ProducerConfig, TopicConfig, TxnPoolConfig
from tests.support.options_tables import PAGE, tables, with_tables


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text()
    assert page == with_tables(page), "run: python -m tests.support.options_tables"


@pytest.mark.parametrize("model", [ClientConfig, ProducerConfig, TopicConfig, TxnPoolConfig])
def test_every_option_has_a_row_and_a_meaning(model: type[ClientConfig | ProducerConfig | TopicConfig | TxnPoolConfig]) -> None:
    rows = [row for table in tables().values() for row in table.splitlines()]
    for option, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{option} has no docstring"
        assert any(row.startswith(f"| `{option}` |") for row in rows)
