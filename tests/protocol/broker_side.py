"""The broker's side of a connection, made of the same codec: requests out of bytes, answers into bytes."""

from __future__ import annotations

from typing import Any

from klife.protocol.apis.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.metadata import MetadataRequest, MetadataResponse
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from klife.protocol.apis.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

REQUESTS: dict[int, Any] = {
    request.API_KEY: request
    for request in (
        ApiVersionsRequest,
        InitProducerIdRequest,
        MetadataRequest,
        ProduceRequest,
        SaslAuthenticateRequest,
        SaslHandshakeRequest,
    )
}
RESPONSES: dict[Any, Any] = {
    ApiVersionsRequest: lambda: ApiVersionsResponse(
        error_code=0,
        api_keys=[ApiVersion(api_key=r.API_KEY, min_version=r.MIN_VERSION, max_version=r.MAX_VERSION) for r in REQUESTS.values()],
    ),
    MetadataRequest: lambda: MetadataResponse(brokers=[], topics=[], cluster_id="back to back", controller_id=7),
    SaslHandshakeRequest: lambda: SaslHandshakeResponse(mechanisms=["PLAIN"]),
    SaslAuthenticateRequest: lambda: SaslAuthenticateResponse(),
    InitProducerIdRequest: lambda: InitProducerIdResponse(error_code=0, producer_id=11, producer_epoch=3),
}


class Server:
    """The broker's side: requests out of bytes, answers into bytes."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, int, int, str | None]] = []  # request, version, correlation id, client id

    def take(self, buffers: list[Any]) -> None:
        data = b"".join(bytes(buffer) for buffer in buffers)
        while data:
            size = int.from_bytes(data[:4], "big")
            frame, data = data[4 : 4 + size], data[4 + size :]
            assert len(frame) == size
            request = REQUESTS[int.from_bytes(frame[:2], "big")]
            version, number = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:8], "big")
            length = int.from_bytes(frame[8:10], "big", signed=True)
            start = 10 + max(length, 0)
            client_id = frame[10:start].decode() if length >= 0 else None
            body = request.decode(frame, version, start + (version >= request.FLEXIBLE_FROM))
            self.asked.append((body, version, number, client_id))

    def answer(self, index: int, response: Any = None, *, number: int | None = None, body: bytes | None = None) -> bytes:
        request, version, asked_number, _ = self.asked[index]
        kind = type(request)
        tagged = version >= kind.FLEXIBLE_FROM and kind is not ApiVersionsRequest
        if body is None:
            body = (b"\0" if tagged else b"") + (response or RESPONSES[kind]()).encode(version)
        head = (asked_number if number is None else number).to_bytes(4, "big", signed=True)
        return (len(head) + len(body)).to_bytes(4, "big") + head + body
