"""How an admin client reaches brokers: its connections, who is asked, how long, and until when it waits for all
of them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import gevent

from klife.actors.network.security import Security
from klife.actors.settings import ConnectionSettings
from klife.admin.answers import brokers_of
from klife.admin.connection import ATTEMPT_TIMEOUT_SECONDS, BrokerConnection
from klife.errors import AdminError
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.errors import DecodeError
from klife.protocol.message import Request, Response

R = TypeVar("R", bound=Response)

RETRY_SECONDS = 0.05


class Reach:
    """The brokers that can be reached from some addresses, connected as these settings say. What waits ends at
    its deadline, on the monotonic clock, with AdminError.
    """

    def __init__(self, bootstrap: Sequence[str], settings: ConnectionSettings, *, timeout: float, quiet: bool) -> None:
        self._bootstrap = bootstrap
        self._timeout = timeout
        self._settings = settings._replace(connect_timeout=ATTEMPT_TIMEOUT_SECONDS)
        self._quiet = quiet
        self._security: Security | None = None  # while there are connections
        self._connections: dict[str, BrokerConnection] = {}

    def connecting_as(self, settings: ConnectionSettings) -> Reach:
        """The same brokers, reached as a client with these settings reaches them."""
        return Reach(self._bootstrap, settings, timeout=self._timeout, quiet=True)

    def deadline(self) -> float:
        """When what begins now must have ended."""
        return time.monotonic() + self._timeout

    def close(self) -> None:
        """Close the connections; the next request opens them again."""
        for address in list(self._connections):
            self._drop(address)
        if self._security is not None:
            self._security.close()
            self._security = None

    def send(self, request: Request[R], address: str, *, max_version: int | None = None) -> R:
        """One request to one broker, once. OSError or DecodeError when that broker cannot be asked."""
        self._connect(address)
        try:
            return self._connections[address].request(request, max_version=max_version)
        except BaseException:
            self._drop(address)  # whatever interrupted it: the next answer on this connection would be the wrong one
            raise

    def send_any(self, request: Request[R], deadline: float) -> R:
        """The answer of the first broker that gives one; for requests that may be repeated."""
        return self._send_again(request, self._reachable, deadline)

    def send_to_controller(self, request: Request[R], deadline: float) -> R:
        """The answer of the broker that changes the cluster; for requests that may be repeated."""
        return self._send_again(request, self.controller, deadline)

    def _send_again(self, request: Request[R], find: Callable[[float], str], deadline: float) -> R:
        while True:
            address = find(deadline)
            try:
                return self.send(request, address)
            except (OSError, DecodeError) as error:
                self.check_time(deadline, f"{address}: {error}")
                gevent.sleep(RETRY_SECONDS)

    def controller(self, deadline: float) -> str:
        """The address of the broker that changes topics, connected: what fails before that has changed
        nothing.

        With ZooKeeper it is the only one that does; with KRaft brokers name any live one as the controller,
        and each passes it on.
        """
        while True:
            metadata = self.send_any(MetadataRequest(topics=[]), deadline)
            addresses = [broker.address for broker in brokers_of(metadata) if broker.node_id == metadata.controller_id]
            problem = "no broker is the controller"
            for address in addresses:
                try:
                    self._connect(address)
                except (OSError, DecodeError) as error:
                    problem = f"{address}, the controller: {error}"
                else:
                    return address
            self.check_time(deadline, problem)
            gevent.sleep(RETRY_SECONDS)

    def until_every_broker(self, condition: Callable[[str], bool], deadline: float, what: str) -> None:
        """Wait until `condition` holds for the address of every live broker.

        A broker that dies meanwhile stops being one of them.
        """
        while True:
            brokers = brokers_of(self.send_any(MetadataRequest(topics=[]), deadline))
            with contextlib.suppress(OSError, DecodeError):
                if all(condition(broker.address) for broker in brokers):
                    return
            if time.monotonic() > deadline:
                raise AdminError(f"the brokers do not all {what} after {self._timeout:g} s")
            gevent.sleep(RETRY_SECONDS)

    def check_time(self, deadline: float, problem: str) -> None:
        if time.monotonic() > deadline:
            raise AdminError(f"no broker answered within {self._timeout:g} s: {problem}")

    def _reachable(self, deadline: float) -> str:
        """The address of a broker that accepts a connection and agrees on versions."""
        while True:
            problems = []
            for address in self._bootstrap:
                try:
                    self._connect(address)
                except (OSError, DecodeError) as error:
                    problems.append(f"{address}: {error}")
                else:
                    return address
            self.check_time(deadline, "; ".join(problems))
            gevent.sleep(RETRY_SECONDS)

    def _connect(self, address: str) -> None:
        connection = self._connections.get(address)
        if connection is not None and connection.is_of_use:
            return
        self._drop(address)
        self._security = self._security or Security(self._settings, quiet=self._quiet)
        self._connections[address] = BrokerConnection(address, self._settings, self._security)

    def _drop(self, address: str) -> None:
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.close()
