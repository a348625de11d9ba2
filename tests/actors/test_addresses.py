"""Which of a name's addresses is next: `Addresses`, without any socket."""

from __future__ import annotations

from typing import Any

from klife.actors.network.addresses import Addresses, interleaved


def answers(*hosts: str) -> list[Any]:
    return [("inet6" if ":" in host else "inet", "stream", 6, "", (host, 9092)) for host in hosts]


def begun(addresses: Addresses, *hosts: str) -> str:
    """What the next attempt takes; the name stands for `hosts` if it is looked up."""
    if addresses.is_through:
        addresses.found(answers(*hosts))
    taken: str = addresses.take()[3][0]
    return taken


def test_the_families_take_turns_and_an_address_that_is_told_twice_has_one() -> None:
    found = [(*answer[:3], answer[4]) for answer in answers("::1", "::2", "::3", "1.1.1.1", "::1", "1.1.1.2")]
    assert [address[3][0] for address in interleaved(found)] == ["::1", "1.1.1.1", "::2", "1.1.1.2", "::3"]


def test_an_attempt_begins_behind_the_address_that_failed_last_and_the_name_is_looked_up_when_all_had_their_turn() -> None:
    addresses = Addresses("kafka")
    for expected in ("1.1.1.1", "1.1.1.2", "1.1.1.3"):
        assert begun(addresses, "1.1.1.1", "1.1.1.2", "1.1.1.3") == expected
        addresses.failed("silent")
    assert addresses.is_through
    assert begun(addresses, "1.1.1.3", "1.1.1.4") == "1.1.1.4", "the answer is new, and 1.1.1.3 failed last"


def test_an_address_that_works_is_kept_though_the_name_is_looked_up_again() -> None:
    addresses = Addresses("kafka")
    assert begun(addresses, "1.1.1.1", "1.1.1.2") == "1.1.1.1"
    addresses.failed("silent")
    assert begun(addresses) == "1.1.1.2"
    addresses.worked()
    addresses.look_up_again()
    assert begun(addresses, "1.1.1.1", "1.1.1.2") == "1.1.1.2"
    addresses.failed("the broker closed the connection")
    addresses.look_up_again()
    assert begun(addresses, "1.1.1.1", "1.1.1.2") == "1.1.1.1"


def test_each_address_tells_its_last_failure_until_one_works() -> None:
    addresses = Addresses("kafka")
    begun(addresses, "1.1.1.1", "1.1.1.2")
    addresses.failed("silent")
    begun(addresses)
    addresses.failed("refused")
    assert addresses.all_told() == "1.1.1.1: silent; 1.1.1.2: refused"
    begun(addresses, "1.1.1.1")
    assert addresses.all_told() == "1.1.1.1: silent", "1.1.1.2 is no address of this name any more"
    addresses.worked()
    assert addresses.all_told() == ""


def test_a_name_of_many_addresses_tells_of_the_first_and_how_many_more() -> None:
    addresses = Addresses("kafka")
    hosts = [f"1.1.1.{number}" for number in range(8)]
    for _ in hosts:
        begun(addresses, *hosts)
        addresses.failed("refused")
    assert addresses.all_told().endswith("1.1.1.4: refused; and 3 more")


def test_a_host_that_is_an_address_is_not_named_twice() -> None:
    addresses = Addresses("1.1.1.1")
    begun(addresses, "1.1.1.1")
    addresses.failed("refused")
    assert addresses.told("refused") == addresses.all_told() == "refused"
