"""A cluster that runs already, named by `KLIFE_TEST_BOOTSTRAP`: used as it is, and left as it is.

Its brokers are not ours to kill, pause or configure, so those verbs raise. Topics made by `create_topic`
stay: give them names of their own.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NoReturn

from klife.admin import AdminClient
from klife.testing.cluster_errors import BackendUnavailable, ClusterError
from klife.words import counted

if TYPE_CHECKING:
    from klife.testing.cluster_security import SecureListeners
    from klife.testing.cluster_spec import ClusterSpec

VARIABLE = "KLIFE_TEST_BOOTSTRAP"
CONNECT_TIMEOUT_SECONDS = 30.0
_ADDRESS = re.compile(r"[^\s:]+:\d{1,5}|\[[^\s\]]+\]:\d{1,5}")


class ExternalBackend:
    """See `klife.testing.cluster_backend.Backend` for what each method promises."""

    def __init__(self, spec: ClusterSpec) -> None:
        self._spec = spec
        self._addresses: dict[int, str] = {}
        self.secure: SecureListeners | None = None

    def up(self) -> None:
        bootstrap = os.environ.get(VARIABLE, "").strip()
        if not bootstrap:
            raise BackendUnavailable(f"{VARIABLE} is not set in the environment")
        if self._spec.config or self._spec.port is not None or self._spec.proxies:
            raise ClusterError(f"config=, port= and proxies= cannot be applied to the cluster of {VARIABLE}, which runs already")
        if self._spec.is_secure:
            raise ClusterError(f"the cluster of {VARIABLE} is used by its PLAINTEXT listener; unset {VARIABLE} for secure ones")
        if wrong := [address for address in bootstrap.split(",") if not _ADDRESS.fullmatch(address.strip())]:
            raise ClusterError(f"{VARIABLE} has {wrong[0]!r}, expected host:port, such as localhost:9092")
        with AdminClient(bootstrap, timeout=CONNECT_TIMEOUT_SECONDS) as admin:
            self._addresses = {broker.node_id: broker.address for broker in admin.brokers()}
        if len(self._addresses) < self._spec.brokers:
            raise ClusterError(
                f"the cluster of {VARIABLE} has {counted(len(self._addresses), 'broker')}, and {self._spec.brokers} are needed: "
                f"start more, or unset {VARIABLE}"
            )

    def down(self) -> None:
        self._addresses = {}

    def addresses(self, listener: str) -> dict[int, str]:
        return self._addresses

    def kill(self, node_id: int) -> None:
        self._refuse("killed")

    def stop(self, node_id: int) -> None:
        self._refuse("stopped")

    def start(self, node_id: int) -> None:
        self._refuse("started")

    def pause(self, node_id: int) -> None:
        self._refuse("paused")

    def resume(self, node_id: int) -> None:
        self._refuse("resumed")

    def ended(self) -> dict[int, str]:
        return {}

    def log(self, node_id: int) -> bytes:
        return b""  # it keeps its log itself

    def _refuse(self, what: str) -> NoReturn:
        raise ClusterError(
            f"a broker of the cluster of {VARIABLE} cannot be {what} from here: unset {VARIABLE} to test with one of our own"
        )
