"""What a codec does in a moment is done at once, and what takes longer in another thread."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident

import pytest

from klife import Client, Record
from klife.actors.producer import request
from klife.protocol.codecs import compress
from tests.support.scripted_broker import PATIENCE, ScriptedCluster

TEXT = b"an order is on its way; " * 15_000  # 360 kB


@pytest.mark.parametrize(
    ("options", "size", "here"),
    [
        ({"compression_type": "lz4"}, 360_000, True),
        ({"compression_type": "snappy"}, 360_000, True),
        ({"compression_type": "zstd"}, 100_000, True),
        ({"compression_type": "zstd"}, 360_000, False),
        ({"compression_type": "gzip"}, 16_000, True),
        ({"compression_type": "gzip"}, 100_000, False),
        ({"compression_type": "lz4", "compression_level": 12}, 16_000, False),
    ],
    ids=str,
)
def test_a_batch_is_compressed_where_the_hub_can_spare_the_time(
    monkeypatch: pytest.MonkeyPatch, start_client: Callable[..., Client], options: dict[str, object], size: int, here: bool
) -> None:
    threads: list[int] = []

    def noted(codec: int, data: bytes, level: int | None) -> bytes:
        threads.append(get_ident())
        return compress(codec, data, level)

    monkeypatch.setattr(request, "compress", noted)
    with ScriptedCluster() as cluster:
        client = start_client(cluster, **options)
        assert client.produce(Record("orders", TEXT[:size])).get(PATIENCE).error is None
    assert [thread == get_ident() for thread in threads] == [here]
