"""Version negotiation."""

from __future__ import annotations

import pytest

from klife.protocol.api_keys import ApiKey, api_name
from klife.protocol.apis.api_versions import ApiVersion, ApiVersionsResponse, FinalizedFeatureKey
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.errors import DecodeError, UnsupportedVersion
from klife.protocol.headers import decode_response_header
from klife.protocol.metadata_wire import MetadataQuery
from klife.protocol.produce_wire import BatchesRequest
from klife.protocol.versions import Features, features_from, negotiate, ranges_from


def test_the_ranges_of_a_broker_are_keyed_by_api() -> None:
    response = ApiVersionsResponse(api_keys=[ApiVersion(api_key=0, max_version=13), ApiVersion(api_key=3, min_version=1)])

    assert ranges_from(response) == {0: (0, 13), 3: (1, 0)}


@pytest.mark.parametrize(("served", "version"), [((0, 13), 13), ((0, 99), 13), ((3, 8), 8), ((0, 3), 3), ((13, 20), 13)])
def test_the_highest_common_version_is_chosen(served: tuple[int, int], version: int) -> None:
    assert negotiate(ProduceRequest, {0: served}) == version


def test_a_caller_can_ask_for_an_older_version() -> None:
    assert negotiate(ProduceRequest, {0: (0, 13)}, max_version=11) == 11
    assert negotiate(ProduceRequest, {0: (0, 9)}, max_version=11) == 9
    assert negotiate(ProduceRequest, {0: (0, 13)}, max_version=99) == 13


def test_a_caller_can_ask_for_a_newer_version() -> None:
    assert negotiate(ProduceRequest, {0: (0, 13)}, min_version=12) == 13
    assert negotiate(ProduceRequest, {0: (0, 12)}, min_version=12) == 12
    assert negotiate(ProduceRequest, {0: (0, 13)}, min_version=12, max_version=12) == 12
    assert negotiate(ProduceRequest, {0: (0, 4)}, min_version=1) == 4
    with pytest.raises(
        UnsupportedVersion, match=r"klife has 12 to 13, the broker serves 0 to 11; the brokers .* of different releases"
    ):
        negotiate(ProduceRequest, {0: (0, 11)}, min_version=12)


def test_features_have_the_level_in_force_and_the_epoch_it_was_known_in() -> None:
    features = [FinalizedFeatureKey(name="transaction.version", max_version_level=2, min_version_level=1)]

    assert features_from(ApiVersionsResponse(finalized_features_epoch=7, finalized_features=features)) == (
        7,
        {"transaction.version": 2},
    )
    assert features_from(ApiVersionsResponse()) == Features() == (-1, {})


@pytest.mark.parametrize(
    ("served", "max_version", "words"),
    [
        ((0, 2), None, ("Produce", "3 to 13", "0 to 2", "upgrade the brokers", "2.4")),
        ((14, 15), None, ("Produce", "3 to 13", "14 to 15", "upgrade klife")),
        ((12, 13), 11, ("Produce", "3 to 11", "12 to 13")),
    ],
)
def test_without_a_common_version_both_ranges_are_named(
    served: tuple[int, int], max_version: int | None, words: tuple[str, ...]
) -> None:
    with pytest.raises(UnsupportedVersion) as refusal:
        negotiate(ProduceRequest, {0: served}, max_version=max_version)

    assert all(word in str(refusal.value) for word in words), str(refusal.value)


def test_an_api_the_broker_does_not_serve_is_named() -> None:
    with pytest.raises(UnsupportedVersion, match=r"does not serve Metadata \(API key 3\)"):
        negotiate(MetadataRequest, {0: (0, 13)})


def test_api_keys_have_names_for_people_even_when_they_are_newer_than_the_table() -> None:
    assert api_name(ApiKey.INIT_PRODUCER_ID) == "InitProducerId"
    assert api_name(9999) == "API 9999"


def test_requests_with_classes_of_our_own_are_told_by_kafkas_names() -> None:
    for request, name in ((BatchesRequest, "Produce"), (MetadataQuery, "Metadata"), (ProduceRequest, "Produce")):
        for broker in ({}, {request.API_KEY: (99, 99)}):
            with pytest.raises(UnsupportedVersion, match=rf"(serve|version of) {name}\b"):
                negotiate(request, broker)  # type: ignore[arg-type]
        with pytest.raises(DecodeError, match=f"a response to {name} v9 is"):
            decode_response_header(b"", request, 9)  # type: ignore[arg-type]
