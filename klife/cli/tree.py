"""`klife tree`: a client's supervision tree, live, while the client works and its actors are killed.

The load is the demo's. Every so often an actor chosen at random is killed, as a bug would end it; its supervisor restarts it, and the
tree shows that. What the killing may not do is cost a record: the exit code is 0 only when every delivery succeeded.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from time import monotonic
from typing import Annotated

import gevent
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from klife.api.client import Client
from klife.cli.demo_cluster import Brokers, DemoBootstrap, demo_cluster, demo_topics
from klife.cli.demo_load import Load
from klife.cli.terminal import ConfigFile, ctrl_c_here, errors_as_lines, fail, out, wait_ready
from klife_supervision import TreeNode

TICK_SECONDS = 0.1
PRINT_SECONDS = 1.0


def tree(
    seconds: Annotated[float, typer.Option(min=0.5, help="How long to show it.")] = 15.0,
    kill_every: Annotated[float, typer.Option(min=0.0, help="Seconds between two kills of random actors; 0 kills nobody.")] = 1.0,
    greenlets: Annotated[int, typer.Option(min=1, help="How many greenlets produce at once, each waiting for its record.")] = 20,
    brokers: Brokers = 3,
    bootstrap: DemoBootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Show the supervision tree of a client that works while its actors are killed."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(errors_as_lines())
        stack.enter_context(ctrl_c_here())
        settings = stack.enter_context(demo_cluster(bootstrap, brokers, config))
        topics = stack.enter_context(demo_topics(settings))
        client = stack.enter_context(Client.start(settings))
        wait_ready(client)
        with Load(client, topics, greenlets) as load:
            killed = _show(client, load, seconds, kill_every)
            load.finish()
        out.print(str(client.tree()), markup=False)
        out.print(f"{_delivered(load)}, while {killed} actors were killed", markup=False)
    if load.failures:
        fail(f"the first of the failed deliveries: {next(iter(load.failures.values()))}")


def _show(client: Client, load: Load, seconds: float, kill_every: float) -> int:
    """Show the tree for so many seconds, killing actors meanwhile; how many were killed."""
    killed = 0
    if not out.is_terminal:
        for killed in _kills(client, seconds, kill_every, PRINT_SECONDS):
            out.print(f"{client.tree()}\n{_delivered(load)}, {killed} actors killed\n", markup=False)
        return killed
    with Live(console=out, auto_refresh=False, transient=True) as live:
        for killed in _kills(client, seconds, kill_every, TICK_SECONDS):
            summary = Text(f"{_delivered(load)}, {killed} actors killed", style="dim")
            live.update(Group(drawn(client.tree()), summary), refresh=True)
    return killed


def _kills(client: Client, seconds: float, kill_every: float, tick: float) -> Iterator[int]:
    """Kill a random actor whenever it is time; at every tick, how many have been."""
    begin = monotonic()
    killed = 0
    while (now := monotonic() - begin) < seconds:
        if kill_every and now >= (killed + 1) * kill_every:
            running = workers(client.tree())
            if running:
                random.choice(running).kill()
                killed += 1
        yield killed
        gevent.sleep(min(tick, seconds - now, kill_every or tick))


def workers(node: TreeNode) -> list[TreeNode]:
    """The actors below a node that run: one that waits for its restart cannot be killed."""
    if node.kind == "worker":
        return [node] if node.end is not None else []
    return [worker for child in node.children for worker in workers(child)]


def drawn(node: TreeNode) -> RenderableType:
    """The tree in colours: supervisors in bold, what is being restarted in red, and restarts in yellow."""
    return _drawn(node, None)


def _drawn(node: TreeNode, above: Tree | None) -> Tree:
    label = Text(str(node.id), style="bold" if node.kind == "supervisor" else "")
    label.append(f"  {node.state}", style="red" if node.state in ("restarting", "starting", "stopped") else "dim")
    if node.restarts:
        label.append(f"  {node.restarts} restart{'s' if node.restarts > 1 else ''}", style="yellow")
    here = Tree(label) if above is None else above.add(label)
    for child in node.children:
        _drawn(child, here)
    return here


def _delivered(load: Load) -> str:
    return f"{len(load.places):,} records delivered, {len(load.failures):,} failed"
