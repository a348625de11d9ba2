"""`klife tree` on a real cluster: the tree is shown while actors die, and dying costs no record."""

from __future__ import annotations

import os
import pty
import re
import subprocess

import pytest
from rich.console import Console

from klife.cli.tree import drawn, workers
from klife.testing.cluster import KafkaCluster
from klife_supervision import TreeNode
from tests.support.cli_command import COMMAND, RunKlife, environment


def _nothing() -> None: ...


ACTOR = TreeNode("producer", "worker", "ready", 2, end=_nothing)
BATCHERS = TreeNode("batchers", "supervisor", "running", 1, end=_nothing)
PRODUCER = TreeNode("producer default", "supervisor", "running", 0, (ACTOR, BATCHERS), end=_nothing)
CLIENT = TreeNode("shop", "supervisor", "running", 0, (TreeNode("metadata", "worker", "restarting", 1), PRODUCER), end=_nothing)


def test_the_tree_is_printed_while_actors_are_killed_and_no_record_is_lost(run_klife: RunKlife, kafka_cluster: KafkaCluster) -> None:
    done = run_klife("tree", "--seconds", "3", "--kill-every", "0.5", "--bootstrap", kafka_cluster.bootstrap_servers)

    assert done.returncode == 0, done.stdout + done.stderr
    trees = re.findall(r"^klife demo  \(supervisor\)  running$", done.stdout, re.MULTILINE)
    assert len(trees) >= 3
    for line in ("connections  (supervisor)  running", "metadata", "batchers  (supervisor)  running", "gate  open", "1 restart"):
        assert line in done.stdout
    end = re.search(r"^([\d,]+) records delivered, 0 failed, while (\d+) actors were killed$", done.stdout, re.MULTILINE)
    assert end is not None
    assert int(end[1].replace(",", "")) > 0
    assert int(end[2]) == done.stderr.count("reason=killed") > 0


def test_a_terminal_sees_it_live(kafka_cluster: KafkaCluster) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "tree", "--seconds", "1", "--kill-every", "0", "--bootstrap", kafka_cluster.bootstrap_servers]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment(TERM="xterm")) as process:
        os.close(theirs)
        seen = _read_all(ours)
    os.close(ours)

    assert process.returncode == 0, seen
    assert "\x1b[" in seen
    assert seen.count("metadata") > 3, "it is drawn again and again"
    assert "while 0 actors were killed" in seen


def test_what_has_been_restarted_and_what_is_being_restarted_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=80, force_terminal=False)
    console.print(drawn(CLIENT))
    assert capsys.readouterr().out.split("\n") == [
        "shop  running",
        "├── metadata  restarting  1 restart",
        "└── producer default  running",
        "    ├── producer  ready  2 restarts",
        "    └── batchers  running  1 restart",
        "",
    ]


def test_only_actors_that_run_are_chosen_to_be_killed() -> None:
    assert workers(CLIENT) == [ACTOR]


def _read_all(terminal: int) -> str:
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:  # Linux's way to say that nobody writes any more
            chunk = b""
        if not chunk:
            return seen.decode()
        seen += chunk
