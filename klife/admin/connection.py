"""`BrokerConnection`: one connection to one broker, one request at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import gevent.socket

from klife.protocol.connection import KafkaConnection, State
from klife.protocol.in_flight import InFlight
from klife.protocol.message import Request, Response

R = TypeVar("R", bound=Response)

ATTEMPT_TIMEOUT_SECONDS = 5.0
CLIENT_ID = "klife-admin"
MAX_RESPONSE_BYTES = 100 * 1024 * 1024


class BrokerConnection:
    """One connection, one request at a time. OSError and DecodeError mean that it is of no more use."""

    def __init__(self, address: str, timeout: float = ATTEMPT_TIMEOUT_SECONDS) -> None:
        host, _, port = address.rpartition(":")
        self._machine = KafkaConnection(CLIENT_ID, MAX_RESPONSE_BYTES)
        self._machine.connect()
        self._socket = gevent.socket.create_connection((host.strip("[]"), int(port)), timeout)
        try:
            self._write(self._machine.opened())
            while self._machine.state is not State.READY:
                self._machine.receive(self._read())
                self._write(self._machine.take_handshake())
        except BaseException:
            self.close()
            raise

    def request(self, request: Request[R], timeout: float = ATTEMPT_TIMEOUT_SECONDS, *, max_version: int | None = None) -> R:
        """Send, and wait at most `timeout` seconds for each part of the answer."""
        self._socket.settimeout(timeout)
        self._write(self._machine.send(InFlight(request), client_id=CLIENT_ID, max_version=max_version))
        while not (answered := self._machine.receive(self._read())):
            pass
        response: R = answered.popleft().response
        return response

    def close(self) -> None:
        self._socket.close()

    def _write(self, buffers: Sequence[Any]) -> None:
        self._socket.sendall(b"".join(buffers))

    def _read(self) -> bytes:
        data: bytes = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the broker closed the connection")
        return data
