"""`klife demo`: the whole client at work on a real cluster, with a proof at the end.

It starts a cluster (or takes one that is there), has greenlets produce for some seconds, shows what that was like, and reads every
record back with connections of its own. The exit code is 0 only when all of it is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Annotated

import typer

from klife.api.client import Client
from klife.api.config import ClientConfig
from klife.api.settings import connection_settings
from klife.cli.demo_check import compare
from klife.cli.demo_cluster import Brokers, DemoBootstrap, demo_cluster, demo_topics
from klife.cli.demo_display import show_figures, step, watch
from klife.cli.demo_load import VALUE_BYTES, Load, Place
from klife.cli.terminal import ConfigFile, ctrl_c_here, err, errors_as_lines, out, wait_ready
from klife.errors import ProduceError
from klife.testing.consumer import LogReader
from klife.words import counted

WARM_UP_SECONDS = 3.0
READ_TIMEOUT_SECONDS = 120.0


def demo(
    seconds: Annotated[float, typer.Option(min=0.5, help="How long the measured part lasts.")] = 8.0,
    greenlets: Annotated[int, typer.Option(min=1, help="How many greenlets produce at once, each waiting for its record.")] = 50,
    brokers: Brokers = 3,
    bootstrap: DemoBootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Show klife at work on a real Kafka cluster.

    Many greenlets produce for some seconds; then it tells rate, latencies and the supervision tree, reads everything back, and says
    whether all of it is there.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(errors_as_lines())
        stack.enter_context(ctrl_c_here())
        settings = stack.enter_context(demo_cluster(bootstrap, brokers, config))
        topics = stack.enter_context(demo_topics(settings))
        client = stack.enter_context(Client.start(settings))
        complete = _run(client, settings, topics, seconds, greenlets)
    if not complete:
        raise typer.Exit(1)


def _run(client: Client, settings: ClientConfig, topics: list[str], seconds: float, greenlets: int) -> bool:
    """The demonstration itself; whether everything was found as it was sent."""
    wait_ready(client)
    with Load(client, topics, greenlets) as load:
        # Brokers that were just started have cold JVMs: their first seconds are slow, and say nothing about the client.
        watch(load, "warming the brokers up (not measured)", min(WARM_UP_SECONDS, seconds))
        load.measure()
        watch(load, f"{counted(greenlets, 'greenlet')} {'produces' if greenlets == 1 else 'produce'}", seconds)
        figures = load.figures()
        load.finish()

    out.rule("figures")
    out.print(f"{counted(greenlets, 'greenlet')}, each waiting for its record; values of {VALUE_BYTES} bytes, acks all, idempotent")
    show_figures(figures)
    out.rule("supervision tree")
    out.print(str(client.tree()), markup=False)
    out.rule("read back")
    return all_there(load.queued, load.places, load.failures, settings, topics)


def all_there(
    queued: Sequence[int],
    places: Mapping[int, Place],
    failures: Mapping[int, ProduceError],
    settings: ClientConfig,
    topics: Sequence[str],
) -> bool:
    """Read the topics back, and print whether they hold exactly what the client said, or what is wrong."""
    servers = ",".join(settings.bootstrap_servers)
    reader = LogReader(servers, timeout=READ_TIMEOUT_SECONDS, settings=connection_settings(settings))
    with step("reading everything back from the brokers"), reader:
        problems = compare(queued, places, failures, chain.from_iterable(reader.read(topic, {}) for topic in topics))
    if not problems:
        out.print(f"all {len(places):,} records are there (those of the warm-up too)", style="green")
        out.print("each is there once, at the offset the client was told, and in the order it was produced", style="green")
        return True
    err.print(f"NOT all of it is there. Of {len(places) + len(failures):,} records", style="red")
    for problem, count in problems.most_common():
        err.print(f"  {count:,} {problem}", style="red", markup=False)
    for failure in list(failures.values())[:1]:
        err.print(f"  the first delivery failed with: {failure}", style="red", markup=False)
    return False
