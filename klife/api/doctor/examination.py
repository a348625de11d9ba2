"""`examine`: all addresses of a cluster, at once, and the report on them in time.

The addresses that brokers advertise are known as soon as one address answers; then they are looked at too,
while others are still waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import gevent

from klife.actors.network.security import Security
from klife.actors.settings import ConnectionSettings
from klife.api.doctor.conversation import Closed
from klife.api.doctor.leaders import CLUSTER, leaders_check
from klife.api.doctor.probe import Probe
from klife.api.doctor.report import Check, DoctorReport
from klife.api.doctor.verdict import Finding, report
from klife.protocol.apis.metadata import MetadataResponse
from klife.protocol.errors import DecodeError

_SHARE = 0.45  # of the whole time, for one step that waits: an address that drops everything is told as such
_LAST_SECONDS = 0.2  # for what is said at the end


def examine(
    bootstrap: Sequence[tuple[str, int]],
    settings: ConnectionSettings,
    security: Security,
    topics: Sequence[str] | None,
    timeout: float,
) -> DoctorReport:
    """Look at a cluster from here, for at most `timeout` seconds (and a little), in a greenlet that may wait.

    `topics` are those whose leaders are looked at; None is all that there are.
    """
    return _Examination(bootstrap, settings, security, topics, timeout).run()


class _Examination:
    def __init__(
        self,
        bootstrap: Sequence[tuple[str, int]],
        settings: ConnectionSettings,
        security: Security,
        topics: Sequence[str] | None,
        timeout: float,
    ) -> None:
        self._settings = settings
        self._security = security
        self._topics = topics
        self._deadline = monotonic() + timeout
        self._timeout = timeout
        self._patience = min(settings.connect_timeout, timeout * _SHARE)
        self._probes = {address: self._probe(Finding(*address, is_bootstrap=True)) for address in dict.fromkeys(bootstrap)}
        self._running: dict[gevent.Greenlet, Probe] = {}
        self._of_cluster: list[Check] = []
        self._asked_for_leaders = False

    def run(self) -> DoctorReport:
        try:
            for probe in list(self._probes.values()):
                self._start(probe)
            while self._running and (left := self._deadline - monotonic()) > 0:
                for ended in gevent.wait(list(self._running), timeout=left, count=1):
                    self._running.pop(ended, None)
        finally:
            late = list(self._running.values())
            gevent.killall(list(self._running), block=True, timeout=_LAST_SECONDS)
            for probe in self._probes.values():
                probe.close()
        for probe in late:
            if probe.finding.failure is None:
                probe.failed(probe.doing, f"not through when the {self._timeout:g} s were over", "give the doctor more time")
        return report([probe.finding for probe in self._probes.values()], self._of_cluster)

    def _probe(self, finding: Finding) -> Probe:
        return Probe(finding, self._settings, self._security, self._patience)

    def _start(self, probe: Probe) -> None:
        self._running[gevent.spawn(self._run, probe)] = probe

    def _run(self, probe: Probe) -> None:
        try:
            metadata = probe.run()
        except gevent.GreenletExit:
            raise
        except BaseException as error:  # noqa: BLE001 - a bug, or a user's mechanism: the other addresses are looked at all the same
            probe.failed(probe.doing, f"the doctor failed with {type(error).__name__}")
            return
        if metadata is None:
            return
        self._found(metadata)
        if not self._asked_for_leaders:
            self._asked_for_leaders = True
            self._of_cluster.append(self._leaders(probe))

    def _found(self, metadata: MetadataResponse) -> None:
        """Look at the addresses that are new."""
        for broker in sorted(metadata.brokers, key=lambda broker: broker.node_id):
            address = (broker.host, broker.port)
            known = self._probes.get(address)
            if known is None:
                probe = self._probes[address] = self._probe(Finding(*address, is_bootstrap=False, node_ids=[broker.node_id]))
                self._start(probe)
            elif broker.node_id not in known.finding.node_ids:
                known.finding.node_ids.append(broker.node_id)

    def _leaders(self, probe: Probe) -> Check:
        try:
            return leaders_check(probe.topics(self._topics))
        except (OSError, DecodeError, Closed) as error:
            return Check("leaders", CLUSTER, False, f"{probe.finding.target} does not tell: {error}", "look again")
