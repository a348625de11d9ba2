"""`klife topics`: what is there and who leads it; create, describe and delete topics, and change their settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer

from klife.admin import ConfigEntry, NewTopic, Partition
from klife.cli.table import print_table
from klife.cli.terminal import Bootstrap, ConfigFile, admin, configuration, confirm, ctrl_c_here, err, errors_as_lines, fail, out

app: typer.Typer = typer.Typer(help="List the topics, create, describe and delete them, and change their settings.")

HEADINGS = ("TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN-SYNC")
SETTINGS = ("SETTING", "VALUE", "SET-BY")

Topics = Annotated[list[str], typer.Argument(metavar="TOPIC...", show_default=False)]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Give a setting a value; once for each.")]


@app.callback(invoke_without_command=True)
def topics(context: typer.Context, bootstrap: Bootstrap = None, config: ConfigFile = None) -> None:
    """List the topics with their partitions, leaders and replicas; or do what COMMAND says."""
    if context.invoked_subcommand is not None:
        if bootstrap is not None or config is not None:
            raise typer.BadParameter(f"give --bootstrap and --config after {context.invoked_subcommand!r}")
        return
    with errors_as_lines(), ctrl_c_here(), admin(configuration(bootstrap, config)) as asked:
        found = asked.describe_topics()
    print_table(HEADINGS, _rows(found), "the cluster has no topics")


@app.command()
def create(
    names: Topics,
    partitions: Annotated[int | None, typer.Option(min=1, show_default="as the brokers are set")] = None,
    replication_factor: Annotated[int | None, typer.Option(min=1, show_default="as the brokers are set")] = None,
    settings: Set = None,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Create topics; ends when every live broker knows them, and records can be produced."""
    values = _pairs(settings or ())
    with errors_as_lines(), ctrl_c_here(), admin(configuration(bootstrap, config)) as asked:
        asked.create_topics([NewTopic(name, partitions or -1, replication_factor or -1, values) for name in names])
        found = asked.describe_topics(names)
    print_table(HEADINGS, _rows(found), "")


@app.command()
def describe(names: Topics, bootstrap: Bootstrap = None, config: ConfigFile = None) -> None:
    """Tell partitions, leaders and replicas of topics, and what of their settings is their own."""
    with errors_as_lines(), ctrl_c_here(), admin(configuration(bootstrap, config)) as asked:
        found = asked.describe_topics(names)
        settings = asked.describe_configs(names)
    print_table(HEADINGS, _rows(found), "")
    for name in sorted(settings):
        for entry in _own(settings[name].values()):
            out.print(f"{name}: {entry.name}={entry.value}", markup=False)


@app.command()
def delete(
    names: Topics,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Delete topics, and all that is in them; ends when no live broker knows them any more."""
    with errors_as_lines(), ctrl_c_here(), admin(configuration(bootstrap, config)) as asked:
        found = asked.describe_topics(names)  # before the question: what is not there need not be asked about
        partitions = sum(map(len, found.values()))
        confirm(f"Delete {', '.join(names)}, {partitions} partition{'s' if partitions > 1 else ''} in all, with all records?", yes)
        asked.delete_topics(names)
    err.print(f"deleted {', '.join(names)}", markup=False)


@app.command()
def configs(
    name: Annotated[str, typer.Argument(metavar="TOPIC", show_default=False)],
    settings: Set = None,
    reset: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Take a setting back to its default; once for each.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Show only what is set for this topic.")] = False,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Show the settings of a topic, changed first as --set and --reset say, all or none."""
    changes: dict[str, object] = {**_pairs(settings or ()), **dict.fromkeys(reset or ())}
    with errors_as_lines(), ctrl_c_here(), admin(configuration(bootstrap, config)) as asked:
        if changes:
            asked.alter_configs(name, changes)
        found = asked.describe_configs([name])[name].values()
    shown = _own(found) if own else sorted(found, key=lambda entry: entry.name)
    rows = [(entry.name, "(secret)" if entry.is_sensitive else str(entry.value), entry.source) for entry in shown]
    print_table(SETTINGS, rows, f"nothing is set for {name} itself")


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    pairs = [setting.partition("=") for setting in settings]
    if wrong := [name for name, equals, _ in pairs if not equals or not name]:
        fail(f"--set {wrong[0]!r}: give NAME=VALUE, such as retention.ms=3600000")
    return {name: value for name, _, value in pairs}


def _own(entries: Iterable[ConfigEntry]) -> list[ConfigEntry]:
    return sorted((entry for entry in entries if entry.source == "topic"), key=lambda entry: entry.name)


def _rows(topics: Mapping[str, Sequence[Partition]]) -> list[tuple[str, ...]]:
    return [_row(name, partition) for name in sorted(topics) for partition in topics[name]]


def _row(name: str, partition: Partition) -> tuple[str, ...]:
    leader = "none" if partition.leader is None else str(partition.leader)
    return name, str(partition.index), leader, _ids(partition.replicas), _ids(partition.in_sync)


def _ids(node_ids: tuple[int, ...]) -> str:
    return ",".join(map(str, node_ids))
