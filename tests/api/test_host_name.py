"""Names of hosts: which can be looked up, and why the others can not."""

from __future__ import annotations

import pytest

from klife.host_name import why_no_host


@pytest.mark.parametrize("host", ["kafka", "kafka.example.org.", "10.0.0.1", "::1", "fe80::1%eth0", "bücher.example"])
def test_a_name_or_an_address_is_taken(host: str) -> None:
    assert why_no_host(host) is None


@pytest.mark.parametrize(
    ("host", "why"),
    [("", "it is empty"), ("a..b", "between two of its dots"), (".a", "before the first"), ("a" * 64, "longer than 63")],
)
def test_why_a_name_can_not_be_looked_up(host: str, why: str) -> None:
    assert why in str(why_no_host(host))
