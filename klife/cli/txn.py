"""`klife txn list` and `klife txn abort`: which transactions are open, and the end of one that holds readers up (KIP-664)."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from klife.admin import AdminClient
from klife.admin.transactions import OpenInPartition, Transaction, abort_hanging, abort_transaction, list_transactions, open_in_topic
from klife.cli.table import print_table
from klife.cli.terminal import Bootstrap, ConfigFile, admin, configuration, confirm, ctrl_c_here, err, errors_as_lines, fail

app: typer.Typer = typer.Typer(help="Transactions: which are open, and the end of one that hangs.", no_args_is_help=True)

KNOWN = ("TRANSACTIONAL-ID", "STATE", "AGE", "TIMEOUT", "PRODUCER", "EPOCH", "COORDINATOR", "PARTITIONS")
OPEN = ("PARTITION", "START-OFFSET", "LAST-WRITE", "PRODUCER", "EPOCH", "STATE", "TRANSACTIONAL-ID")
HANGS = "hangs"
_NOTHING = "-"

Topic = Annotated[str | None, typer.Option("--topic", help="Of this topic: what its partitions' leaders wait for.")]
PartitionIndex = Annotated[int | None, typer.Option("--partition", min=0, help="The partition in which one hangs.")]
StartOffset = Annotated[int | None, typer.Option("--start-offset", min=0, help="Where it begins; `klife txn list --topic` tells.")]


@app.command("list")
def list_(topic: Topic = None, bootstrap: Bootstrap = None, config: ConfigFile = None) -> None:
    """List all transactional ids, open transactions first; with --topic, what is open in its partitions, known or hanging."""
    with errors_as_lines(), ctrl_c_here(), admin(configuration(bootstrap, config)) as asked:
        if topic is None:
            known = list_transactions(asked)
            print_table(KNOWN, [_known(each) for each in known], "the brokers know no transactional id")
        else:
            found = open_in_topic(asked, topic)
            print_table(OPEN, [_open(each) for each in found], f"no transaction is open in {topic}")


@app.command()
def abort(
    transactional_id: Annotated[str | None, typer.Argument(help="Whose open transaction to abort; its producer is fenced.")] = None,
    topic: Topic = None,
    partition: PartitionIndex = None,
    start_offset: StartOffset = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Abort the open transaction of an id, or the one that hangs at --topic, --partition and --start-offset."""
    place = (topic, partition, start_offset)
    by_place = all(each is not None for each in place)
    if by_place == (transactional_id is not None) or (not by_place and any(each is not None for each in place)):
        raise typer.BadParameter("give either a transactional id, or all of --topic, --partition and --start-offset")
    with errors_as_lines(), ctrl_c_here(), admin(configuration(bootstrap, config)) as asked:
        if transactional_id is not None:
            _abort_known(asked, transactional_id, yes)
        else:
            assert topic is not None
            _abort_hanging(asked, topic, partition, start_offset, yes)


def _abort_known(asked: AdminClient, transactional_id: str, yes: bool) -> None:
    found = next((each for each in list_transactions(asked) if each.transactional_id == transactional_id and each.is_open), None)
    if found is not None:  # else it is said by the attempt
        print_table(KNOWN, [_known(found)], "", err)
        confirm("Abort it? Its producer, if it lives, is fenced.", yes)
    abort_transaction(asked, transactional_id)
    err.print(f"the transaction of {transactional_id} was aborted", markup=False)


def _abort_hanging(asked: AdminClient, topic: str, partition: int | None, start_offset: int | None, yes: bool) -> None:
    found = [each for each in open_in_topic(asked, topic) if (each.partition, each.start_offset) == (partition, start_offset)]
    if not found:
        fail(f"no transaction that begins at {start_offset} is open in {topic}-{partition}; see klife txn list --topic {topic}")
    if found[0].transaction is None:  # else it is said by the attempt
        print_table(OPEN, [_open(found[0])], "", err)
        confirm("Abort it? Its records will never be seen by readers of committed ones.", yes)
    abort_hanging(asked, found[0])
    err.print(f"the transaction in {topic}-{partition} was aborted", markup=False)


def _known(each: Transaction) -> tuple[str, ...]:
    return (
        each.transactional_id,
        each.state,
        _since(each.started_ms),
        _NOTHING if each.timeout_ms is None else f"{each.timeout_ms / 1000:g}s",
        str(each.producer_id),
        _NOTHING if each.producer_epoch is None else str(each.producer_epoch),
        str(each.coordinator),
        ",".join(f"{topic}-{index}" for topic, index in each.partitions) or _NOTHING,
    )


def _open(each: OpenInPartition) -> tuple[str, ...]:
    return (
        f"{each.topic}-{each.partition}",
        str(each.start_offset),
        _since(each.last_write_ms),
        str(each.producer_id),
        str(each.producer_epoch),
        HANGS if each.transaction is None else each.transaction.state,
        _NOTHING if each.transaction is None else each.transaction.transactional_id,
    )


def _since(ms: int | None) -> str:
    return _NOTHING if ms is None or ms < 0 else f"{max(time.time() - ms / 1000, 0):.1f}s"
