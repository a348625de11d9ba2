"""The steps of a handshake, as messages: what is asked, and what follows from each answer."""

from __future__ import annotations

import pytest

from klife.protocol.apis.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey
from klife.protocol.errors import DecodeError
from klife.protocol.handshake import VersionsExchange, VersionsQuery

SERVED = ApiVersionsResponse(api_keys=[ApiVersion(api_key=3, min_version=1, max_version=12)], throttle_time_ms=70)
UNSUPPORTED = ApiVersionsResponse(error_code=35)


def test_versions_are_asked_for_in_a_version_that_tells_our_name() -> None:
    request, version = VersionsExchange().start()
    assert version == 3
    asked = ApiVersionsRequest.decode(b"".join(bytes(part) for part in request.encode_parts(version)), version)
    assert asked.client_software_name == "klife"


def test_the_answer_tells_ranges_and_how_long_to_wait() -> None:
    exchange = VersionsExchange()
    exchange.start()
    assert exchange.answered(SERVED) is None
    assert (exchange.ranges, exchange.throttle_ms) == ({3: (1, 12)}, 70)


def test_the_answer_tells_the_clusters_features() -> None:
    exchange = VersionsExchange()
    exchange.start()
    features = [FinalizedFeatureKey(name="transaction.version", max_version_level=2)]
    exchange.answered(ApiVersionsResponse(finalized_features_epoch=41, finalized_features=features))
    assert exchange.features == (41, {"transaction.version": 2})


def test_a_broker_that_does_not_know_the_version_is_asked_again_in_v0() -> None:
    exchange = VersionsExchange()
    exchange.start()
    question = exchange.answered(UNSUPPORTED)
    assert question is not None
    assert question.version == 0
    assert exchange.answered(SERVED) is None
    assert exchange.ranges == {3: (1, 12)}


@pytest.mark.parametrize(("answers", "told"), [([UNSUPPORTED, UNSUPPORTED], "v0 with error code 35"), ([29], "v3 with error code 29")])
def test_a_broker_that_refuses_is_given_up(answers: list[ApiVersionsResponse | int], told: str) -> None:
    exchange = VersionsExchange()
    exchange.start()
    *before, last = [ApiVersionsResponse(error_code=answer) if isinstance(answer, int) else answer for answer in answers]
    for answer in before:
        exchange.answered(answer)
    with pytest.raises(DecodeError, match=told):
        exchange.answered(last)


@pytest.mark.parametrize("version", range(1, 5))
def test_unsupported_is_read_in_whatever_layout_it_comes(version: int) -> None:
    read = VersionsQuery.RESPONSE.decode
    for rest in (b"", b"\0", b"\xff" * 40, UNSUPPORTED.encode(0)[2:], UNSUPPORTED.encode(version)[2:]):
        assert read(b"head" + b"\0\x23" + rest, version, 4).error_code == 35
    assert read(SERVED.encode(version), version).api_keys[0].max_version == 12
