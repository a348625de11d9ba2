"""What tests on the cluster share beside their fixtures: the fixtures' types."""

from __future__ import annotations

from collections.abc import Callable

from klife import Client
from tests.support.reader import Read

StartClient = Callable[..., Client]
MakeTopic = Callable[..., str]
ReadBack = Callable[..., list[Read]]
