"""Hypothesis strategies of records: what users send, and what they rarely send."""

from __future__ import annotations

from hypothesis import strategies as st

NOW = 1_760_000_000_000

# Where a varint grows by a byte, and where the encoder's tables end.
BOUNDARIES = [0, 1, 62, 63, 64, 65, 8190, 8191, 8192, 8193, 16300, 16383, 16384, 16385, 1 << 20, (1 << 20) + 1]

small_bytes = st.binary(max_size=80)
# Repeating one byte makes a large value cheap to generate.
sized_bytes = st.sampled_from(BOUNDARIES[:14]).map(lambda size: b"v" * size)
contents = st.none() | small_bytes | sized_bytes
header_names = st.text(max_size=12) | st.sampled_from(["trace", "größe", "鍵"])
header_lists = st.lists(st.tuples(header_names, st.none() | small_bytes), max_size=4).map(tuple)
times = st.sampled_from([NOW, NOW + 1, NOW + 63, NOW + 64, NOW + 8192, NOW + 20_000]) | st.integers(-1, 1 << 62)
record_lists = st.lists(st.tuples(contents, contents, st.just(()) | header_lists, times), min_size=1, max_size=90)
