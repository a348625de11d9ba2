"""`klife topics`: what is there, and who leads it.

One line for each partition, aligned for the eye and easy to cut for a script.
"""

from __future__ import annotations

from klife.admin import Partition
from klife.cli.terminal import Bootstrap, ConfigFile, admin, configuration, ctrl_c_here, err, errors_as_lines, out

HEADINGS = ("TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN-SYNC")


def topics(bootstrap: Bootstrap = None, config: ConfigFile = None) -> None:
    """List the topics with their partitions, leaders and replicas."""
    with errors_as_lines(), ctrl_c_here(), admin(configuration(bootstrap, config)) as asked:
        found = asked.describe_topics()
    if not found:
        err.print("the cluster has no topics")
        return
    rows = [HEADINGS, *(_row(name, partition) for name in sorted(found) for partition in found[name])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(line.rstrip(), markup=False)


def _row(name: str, partition: Partition) -> tuple[str, ...]:
    leader = "none" if partition.leader is None else str(partition.leader)
    return name, str(partition.index), leader, _ids(partition.replicas), _ids(partition.in_sync)


def _ids(node_ids: tuple[int, ...]) -> str:
    return ",".join(map(str, node_ids))
