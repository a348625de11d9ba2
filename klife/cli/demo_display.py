"""What `klife demo` shows: a live display on a terminal, plain lines elsewhere, and the figures at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from time import monotonic

import gevent
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from klife.cli.demo_load import Figures, Load
from klife.cli.terminal import out

TICK_SECONDS = 0.2
LINE_SECONDS = 1.0


@contextlib.contextmanager
def step(doing: str) -> Iterator[None]:
    """Say what is being done for the length of the block, and afterwards how long it took."""
    began = monotonic()
    if out.is_terminal:
        with out.status(doing):
            yield
    else:
        out.print(f"{doing} ...", markup=False)
        yield
    out.print(f"{doing}: {monotonic() - began:.1f} s", markup=False)


def watch(load: Load, doing: str, seconds: float) -> None:
    """Show the load for so many seconds."""
    if out.is_terminal:
        with Live(_live(load.figures(), load.figures(), doing, seconds), console=out, auto_refresh=False, transient=True) as live:
            for now, recent in _ticks(load, seconds, TICK_SECONDS):
                live.update(_live(now, recent, doing, seconds), refresh=True)
    else:
        for now, recent in _ticks(load, seconds, LINE_SECONDS):
            out.print(f"{doing} {now.seconds:4.1f} s  {_summary(now, recent)}", markup=False)


def show_figures(figures: Figures) -> None:
    """Print what was measured."""
    percentiles = "   ".join(f"p{share} {_ms(figures.latency(share / 100))}" for share in (50, 95, 99))
    for name, value in (
        ("records", f"{figures.records:,} in {figures.seconds:.1f} s"),
        ("rate", f"{figures.rate:,.0f} records/s"),
        ("latency", f"{percentiles}   max {_ms(figures.latency(1))}"),
        ("records per request", f"{figures.records_per_request:.1f}   ({figures.requests:,} requests)"),
    ):
        out.print(f"  {name:<21}{value}", markup=False)


def _ticks(load: Load, seconds: float, interval: float) -> Iterator[tuple[Figures, Figures]]:
    """At every interval the figures since the beginning, and those of the last interval."""
    end = monotonic() + seconds
    before = load.figures()
    while (left := end - monotonic()) > 0:
        gevent.sleep(min(interval, left))
        now = load.figures(since=before.records)
        yield now, Figures(now.seconds - before.seconds, now.records - before.records, now.requests - before.requests, now.latencies)
        before = now


def _live(now: Figures, recent: Figures, doing: str, seconds: float) -> RenderableType:
    bar = Table.grid(padding=(0, 2))
    bar.add_row(doing, ProgressBar(total=seconds, completed=now.seconds, width=40), f"{now.seconds:4.1f} of {seconds:g} s")
    return Group(bar, Text(_summary(now, recent)))


def _summary(now: Figures, recent: Figures) -> str:
    return (
        f"{now.records:>9,} records  {recent.rate:>7,.0f}/s  p50 {_ms(recent.latency(0.5)):>8}  p99 {_ms(recent.latency(0.99)):>8}  "
        f"{recent.records_per_request:5.1f} records a request"
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
