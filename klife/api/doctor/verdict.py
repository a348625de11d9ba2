"""What the checks mean together: one sentence, and the next step. Pure.

The classic is a bootstrap address that answers while those that the brokers advertise can not be reached from
here: a client then knows the whole cluster, and no broker of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from klife.api.doctor.report import Check, DoctorReport
from klife.host_name import address_of
from klife.words import counted

_UNREACHABLE = ("resolve", "connect")
_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0")


@dataclass
class Finding:
    """An address, and what was found there. `node_ids` are the brokers that advertise it; it `is_bootstrap` if
    the client was given it; `cluster` is whose it said that it is, "" if it said nothing.
    """

    host: str
    port: int
    is_bootstrap: bool
    node_ids: list[int] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    cluster: str = ""

    @property
    def address(self) -> str:
        return address_of(self.host, self.port)

    @property
    def target(self) -> str:
        """What it is called in the report; a broker's number goes before what the client calls it."""
        if self.is_bootstrap:
            return f"bootstrap {self.address}"
        return f"broker {', '.join(map(str, self.node_ids))} at {self.address}"

    @property
    def failure(self) -> Check | None:
        """What ended the look at it; None if that came to its end."""
        return next((check for check in self.checks if not check.ok), None)


def report(findings: Sequence[Finding], of_cluster: Sequence[Check]) -> DoctorReport:
    """The report on these addresses, bootstrap ones first, and on the cluster as a whole."""
    checks = (*(check for finding in findings for check in finding.checks), *of_cluster)
    verdict, next_step = _verdict(findings, of_cluster)
    return DoctorReport(checks, f"{verdict.rstrip('.')}.", next_step)


def _verdict(findings: Sequence[Finding], of_cluster: Sequence[Check]) -> tuple[str, str]:
    bootstrap = [finding for finding in findings if finding.is_bootstrap]
    brokers = [finding for finding in findings if finding.node_ids]
    failed = [finding for finding in findings if finding.failure is not None]
    unreached = [finding for finding in brokers if finding.failure is not None]
    if bootstrap and all(finding.failure is not None for finding in bootstrap):
        return _no_bootstrap(bootstrap)
    if brokers and len(unreached) == len(brokers) and all(_is_unreachable(finding) for finding in unreached):
        return _classic(unreached)
    clusters = sorted({finding.cluster for finding in findings if finding.cluster})
    if len(clusters) > 1:
        told = ", ".join(f"{finding.address} {finding.cluster!r}" for finding in bootstrap if finding.cluster)
        return f"The bootstrap addresses are of different clusters: {told}", "name addresses of one cluster in bootstrap_servers"
    if unreached:
        return _some_brokers(unreached, len(brokers))
    if failed:
        first = failed[0].failure
        assert first is not None
        return f"The cluster works from here, but {_told(failed)}", _step(first)
    for check in of_cluster:
        if not check.ok:
            return f"All brokers can be reached, but {check.detail}", check.next_step
    count = sum(len(finding.node_ids) for finding in brokers)
    if count == 1:
        return "All is well: the cluster's one broker can be reached from here at the address it advertises", ""
    return f"All is well: the {count} brokers can be reached from here at the addresses they advertise", ""


def _no_bootstrap(bootstrap: Sequence[Finding]) -> tuple[str, str]:
    first = bootstrap[0].failure
    assert first is not None
    same = all(finding.failure is not None and finding.failure.name == first.name for finding in bootstrap)
    return f"The cluster can not be used from here: {_told(bootstrap)}", _step(first) if same or len(bootstrap) == 1 else (
        "mend one of the addresses in bootstrap_servers; each has its reason above"
    )


def _classic(unreached: Sequence[Finding]) -> tuple[str, str]:
    listed = "; ".join(_reason(finding) for finding in unreached[:3])
    verdict = f"The bootstrap answers, but none of the addresses that the brokers advertise can be reached from here: {listed}"
    if all(finding.host in _LOCAL for finding in unreached):
        why = "what they advertise means this machine, and they run on another"
    else:
        why = "the addresses may be those of another network (a container's, a private one)"
    return verdict, (
        f"set advertised.listeners of each broker to an address that clients reach from here ({why}), "
        "or run the client where those that are advertised can be reached"
    )


def _some_brokers(unreached: Sequence[Finding], count: int) -> tuple[str, str]:
    first = unreached[0].failure
    assert first is not None
    verdict = f"{len(unreached)} of {counted(count, 'broker')} can not be used from here: {_told(unreached)}"
    if all(_is_unreachable(finding) for finding in unreached):
        which = ", ".join(str(node) for finding in unreached for node in finding.node_ids)
        return verdict, (
            f"look whether broker {which} runs; if it does, look at its advertised.listeners, and at firewalls between here and there"
        )
    return verdict, _step(first)


def _told(findings: Sequence[Finding]) -> str:
    listed = "; ".join(_reason(finding) for finding in findings[:3])
    return listed + (f"; and {len(findings) - 3} more" if len(findings) > 3 else "")


def _reason(finding: Finding) -> str:
    failure = finding.failure
    assert failure is not None
    return f"{finding.target}: {failure.detail}"


def _step(check: Check) -> str:
    return check.next_step or f"do what the check of {check.name} says"


def _is_unreachable(finding: Finding) -> bool:
    return finding.failure is not None and finding.failure.name in _UNREACHABLE
