"""The tables of options in docs/configuration.md, made from the models: `python -m
tests.support.options_tables` writes them anew.

An option's meaning is the docstring that stands under it in `klife.api.config` and
`klife.api.config.options`.
"""

from __future__ import annotations

from pydantic_core import PydanticUndefined

from klife.api.config import ClientConfig, SaslConfig, TlsConfig
from klife.api.config.base import Options
from klife.api.config.options import DeliveryOptions, ProducerConfig, ProducerOptions, TopicConfig, TxnPoolConfig
from tests.support import ROOT

PAGE = ROOT / "docs" / "configuration.md"


def _row(model: type[Options], option: str) -> str:
    field = model.model_fields[option]
    default = "required" if field.default is PydanticUndefined else f"`{_shown(field.default)}`"
    meaning = (field.description or "").replace("\n", " ").replace("|", "\\|")
    return f"| `{option}` | {default} | {meaning} |"


def _shown(default: object) -> str:
    if isinstance(default, str):
        return f'"{default}"'
    return "[]" if default == () else repr(default)


def _table(model: type[Options], options: list[str]) -> str:
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *(_row(model, option) for option in options)])


def tables() -> dict[str, str]:
    """Each table by its name in the page."""
    producer = list(ProducerOptions.model_fields)
    return {
        "client": _table(ClientConfig, [option for option in ClientConfig.model_fields if option not in producer]),
        "producer": _table(ProducerConfig, ["name", *producer]),
        "topic": _table(TopicConfig, list(TopicConfig.model_fields)),
        "pool": _table(TxnPoolConfig, [option for option in TxnPoolConfig.model_fields if option not in DeliveryOptions.model_fields]),
        "tls": _table(TlsConfig, list(TlsConfig.model_fields)),
        "sasl": _table(SaslConfig, list(SaslConfig.model_fields)),
    }


def with_tables(text: str) -> str:
    """The page's text with the tables as they should be; ValueError for a table that has no place in it."""
    for name, table in tables().items():
        begin, end = f"<!-- options: {name} -->", f"<!-- end: {name} -->"
        before, begins, rest = text.partition(begin)
        _, ends, after = rest.partition(end)
        if not begins or not ends:
            raise ValueError(f"{PAGE.name} has no place for the table of {name} options: {begin} ... {end}")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
