"""What the doctor concludes from what it found: pure."""

from __future__ import annotations

import copy
import pickle
import time

import pytest

from klife import DoctorReport
from klife.api.doctor import Check
from klife.api.doctor.certificate import certificate_told
from klife.api.doctor.leaders import leaders_check
from klife.api.doctor.verdict import Finding, report
from klife.protocol.apis.metadata import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)


def finding(address: str, *nodes: int, bootstrap: bool = False, fails: tuple[str, str] | None = None, cluster: str = "c") -> Finding:
    host, _, port = address.rpartition(":")
    found = Finding(host, int(port), is_bootstrap=bootstrap, node_ids=list(nodes), cluster="" if fails else cluster)
    found.checks.append(Check("connect", found.target, True, "took 1 ms"))
    if fails is not None:
        name, detail = fails
        found.checks = [Check(name, found.target, False, detail, f"mend {name}")]
    return found


REFUSED = ("connect", "10.0.0.1 does not take a connection: Connection refused")
WRONG_PASSWORD = ("sasl", "the broker refused user 'u'")
LEADERS = Check("leaders", "cluster", True, "1 topic")


@pytest.mark.parametrize(
    ("findings", "verdict", "step"),
    [
        (
            [finding("k:1", bootstrap=True), finding("a:1", 1), finding("b:1", 2)],
            "All is well: the 2 brokers can be reached from here at the addresses they advertise.",
            "",
        ),
        (
            [finding("k:1", 1, bootstrap=True)],
            "All is well: the cluster's one broker can be reached from here at the address it advertises.",
            "",
        ),
        (
            [finding("k:1", bootstrap=True, fails=REFUSED)],
            "The cluster can not be used from here: bootstrap k:1: 10.0.0.1 does not take a connection: Connection refused.",
            "mend connect",
        ),
        (
            [finding("k:1", bootstrap=True, fails=REFUSED), finding("k:2", bootstrap=True, fails=WRONG_PASSWORD)],
            "The cluster can not be used from here: bootstrap k:1: ",
            "mend one of the addresses",
        ),
        (
            [
                finding("k:1", bootstrap=True),
                finding("internal:1", 1, fails=("resolve", "nowhere")),
                finding("internal:2", 2, fails=REFUSED),
            ],
            "The bootstrap answers, but none of the addresses that the brokers advertise can be reached from here: broker 1 at",
            "set advertised.listeners of each broker",
        ),
        (
            [finding("k:1", bootstrap=True), finding("localhost:1", 1, fails=REFUSED)],
            "The bootstrap answers, but none of",
            "means this machine, and they run on another",
        ),
        (
            [finding("k:1", bootstrap=True), finding("a:1", 1), finding("b:1", 2, fails=REFUSED), finding("c:1", 3)],
            "1 of 3 brokers can not be used from here: broker 2 at b:1: 10.0.0.1 does not take",
            "look whether broker 2 runs",
        ),
        (
            [finding("k:1", bootstrap=True), finding("a:1", 1, fails=WRONG_PASSWORD)],
            "1 of 1 broker can not be used from here: broker 1 at a:1: the broker refused user 'u'.",
            "mend sasl",
        ),
        (
            [finding("k:1", bootstrap=True, fails=REFUSED), finding("k:2", 1, bootstrap=True)],
            "The cluster works from here, but bootstrap k:1: 10.0.0.1",
            "mend connect",
        ),
        (
            [finding("k:1", 1, bootstrap=True), finding("other:1", 1, bootstrap=True, cluster="d")],
            "The bootstrap addresses are of different clusters: k:1 'c', other:1 'd'.",
            "name addresses of one cluster",
        ),
        (
            [finding("::1:1", bootstrap=True, fails=REFUSED)],
            "The cluster can not be used from here: bootstrap [::1]:1: ",
            "mend connect",
        ),
    ],
)
def test_the_verdict_says_what_is_wrong_and_the_next_step(findings: list[Finding], verdict: str, step: str) -> None:
    found = report(findings, [LEADERS])
    assert found.verdict.startswith(verdict)
    assert step in found.next_step if step else found.next_step == ""
    assert found.ok is bool(found) is (step == "" or "different clusters" in verdict)


def test_brokers_that_can_be_reached_leave_the_cluster_to_be_told() -> None:
    lost = Check("leaders", "cluster", False, "1 partition of 3 without a leader: orders-0", "start them")
    found = report([finding("k:1", 1, bootstrap=True)], [lost])
    assert (found.ok, found.verdict, found.next_step) == (
        False,
        "All brokers can be reached, but 1 partition of 3 without a leader: orders-0.",
        "start them",
    )


def test_a_report_is_a_value_that_prints_as_a_table() -> None:
    found = report([finding("kafka:9092", bootstrap=True), finding("a:1", 1, fails=REFUSED), finding("b:1", 2)], [LEADERS])
    assert str(found).splitlines() == [
        "TARGET                CHECK    RESULT  DETAIL",
        "bootstrap kafka:9092  connect  ok      took 1 ms",
        "broker 1 at a:1       connect  FAILED  10.0.0.1 does not take a connection: Connection refused",
        "broker 2 at b:1       connect  ok      took 1 ms",
        "cluster               leaders  ok      1 topic",
        "",
        "1 of 2 brokers can not be used from here: broker 1 at a:1: 10.0.0.1 does not take a connection: Connection refused.",
        "Next: look whether broker 1 runs; if it does, look at its advertised.listeners, and at firewalls between here and there",
    ]
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other == found
    with pytest.raises(AttributeError):
        found.verdict = "fine"  # type: ignore[misc]
    assert isinstance(found, DoctorReport)


def metadata(partitions: list[tuple[int, list[int], list[int]]], live: tuple[int, ...] = (1, 2, 3), error: int = 0) -> MetadataResponse:
    listed = [
        MetadataResponsePartition(error_code=0, partition_index=index, leader_id=leader, replica_nodes=replicas, isr_nodes=isr)
        for index, (leader, replicas, isr) in enumerate(partitions)
    ]
    return MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=node, host="h", port=1) for node in live],
        topics=[MetadataResponseTopic(error_code=error, name="orders", partitions=listed)],
    )


ALL = [1, 2, 3]


@pytest.mark.parametrize(
    ("told", "ok", "detail", "step"),
    [
        (metadata([(1, ALL, ALL), (2, ALL, ALL)]), True, "1 topic with 2 partitions, and each has one", ""),
        (
            metadata([(1, ALL, [1, 2])]),
            True,
            "1 topic with 1 partition, and each has one; 1 partition with replicas that are behind",
            "",
        ),
        (
            metadata([(1, ALL, [1, 2]), (2, ALL, [1, 2])], live=(1, 2)),
            False,
            "broker 3 is away, and has replicas of 2 partitions",
            "start broker 3",
        ),
        (
            metadata([(-1, [3], []), (1, [1], [1])], live=(1, 2)),
            False,
            "1 partition of 2 without a leader: orders-0; broker 3 is away, and has replicas of 1 partition",
            "start the brokers that have their replicas",
        ),
        (
            metadata([(-1, [1], [])] * 5),
            False,
            "5 partitions of 5 without a leader: orders-0, orders-1, orders-2 and 2 more",
            "start the",
        ),
        (metadata([], error=3), False, "topic 'orders': ", "create the topics"),
        (MetadataResponse(), True, "there are no topics yet", ""),
    ],
)
def test_leaders_and_replicas_are_told_of_an_answer(told: MetadataResponse, ok: bool, detail: str, step: str) -> None:
    check = leaders_check(told)
    assert (check.name, check.target, check.ok) == ("leaders", "cluster", ok)
    assert check.detail.startswith(detail)
    assert step in check.next_step


class Session:
    """What `certificate_told` asks an `ssl.SSLObject`."""

    def __init__(self, certificate: dict[str, object] | None) -> None:
        self._certificate = certificate

    def version(self) -> str:
        return "TLSv1.3"

    def getpeercert(self) -> dict[str, object] | None:
        return self._certificate


def valid_for(days: float) -> str:
    return time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime(time.time() + days * 86_400 + 3_600))


def test_a_certificate_is_told_with_names_issuer_and_end() -> None:
    issuer = ((("countryName", "XX"),), (("commonName", "klife root"),))
    names = [("DNS", f"kafka-{number}") for number in range(7)]
    told = certificate_told(Session({"subjectAltName": names, "issuer": issuer, "notAfter": valid_for(9)}))
    assert told.startswith("TLS 1.3, for kafka-0, kafka-1, kafka-2, kafka-3, kafka-4 and 2 more, by klife root, until ")
    assert told.endswith("(in 9 days)")
    told = certificate_told(Session({"subject": ((("commonName", "old"),),), "issuer": issuer, "notAfter": valid_for(100)}))
    assert told.startswith("TLS 1.3, for old, by klife root, until ")
    assert "days" not in told
    assert "not verified" in certificate_told(Session({}))
