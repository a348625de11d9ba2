"""The faults that strike from outside: brokers, connections, topics, coordinators. A greenlet goes through each track of
the plan.

A fault of a broker ends when the broker is back and in sync, which may take longer than the plan says; the
next of its track waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

import gevent

from klife.admin import AdminError, NewTopic
from klife.protocol.error_codes import ErrorCode
from klife.testing.cluster import ClusterError, KafkaCluster
from tests.chaos.plan import BROKER_FAULTS, COORDINATOR_FAULTS, NETWORK_FAULTS, Fault, Plan, TopicPlan
from tests.chaos.proxy import Proxy
from tests.chaos.witness import elect_preferred_leaders
from tests.support.coordinators import move_coordinators

REPAIR_SECONDS = 90.0
AGAIN_SECONDS = 0.2
MOST_PARTITIONS = 16


class Faults:
    """Strikes what the plan says, and notes what was done when."""

    def __init__(self, plan: Plan, cluster: KafkaCluster, proxies: Mapping[int, Proxy]) -> None:
        self._plan = plan
        self._cluster = cluster
        self._proxies = proxies
        self._partitions = {topic.name: topic.partitions for topic in plan.topics}
        self.whole_since: dict[str, float] = {}
        """When a deleted topic was there again (monotonic seconds)."""
        self.notes: list[tuple[float, str]] = []

    def run(self, begin_at: float) -> None:
        """Go through all tracks; ends when everything is repaired. Raises what kept a fault from being struck
        or repaired.
        """
        tracks = [gevent.spawn(self._go_through, track, begin_at) for track in self._plan.faults]
        try:
            gevent.joinall(tracks, raise_error=True)
        finally:
            gevent.killall(tracks)

    def _go_through(self, track: tuple[Fault, ...], begin_at: float) -> None:
        for fault in track:
            gevent.sleep(max(begin_at + fault.at - monotonic(), 0.0))
            if fault.kind in BROKER_FAULTS:
                self._strike_brokers(fault)
            elif fault.kind in NETWORK_FAULTS:
                node_id = self._cluster.broker_ids[fault.target % len(self._proxies)]
                self._note(f"connections to broker {node_id}: {fault.kind} for {fault.seconds:.1f} s")
                self._proxies[node_id].strike(fault.kind, fault.seconds, fault.target)
            elif fault.kind in COORDINATOR_FAULTS:
                self._move_coordinators()
            elif fault.kind == "expand":
                self._expand(fault)
            elif fault.kind == "delete":
                for topic in self._plan.topics:
                    if topic.doomed:
                        self._delete(topic, fault.seconds)

    def _strike_brokers(self, fault: Fault) -> None:
        cluster = self._cluster
        node_id = cluster.broker_ids[fault.target % len(cluster.broker_ids)]
        self._note(f"{fault.kind}" if fault.kind in ("elect", "pause all") else f"{fault.kind} broker {node_id}")
        if fault.kind in ("kill", "stop"):
            cluster.kill(node_id) if fault.kind == "kill" else cluster.stop(node_id)
            gevent.sleep(fault.seconds)
            self._note(f"start broker {node_id}")
            cluster.start(node_id, timeout=REPAIR_SECONDS)
        elif fault.kind in ("pause", "pause all"):
            paused = cluster.broker_ids if fault.kind == "pause all" else (node_id,)
            for each in paused:
                cluster.pause(each)
            gevent.sleep(fault.seconds)
            for each in paused:
                cluster.resume(each)
            self._note(f"resumed {paused}")
        else:
            elect_preferred_leaders(cluster.bootstrap_servers)
        cluster.wait_until_ready(REPAIR_SECONDS)
        cluster.wait_until_in_sync(REPAIR_SECONDS)
        self._note("brokers in sync")

    def _move_coordinators(self) -> None:
        try:
            self._note(f"coordinators move to {move_coordinators(self._cluster.bootstrap_servers)}")
        except AdminError as error:  # brokers are away, which moves coordinators as well
            self._note(f"moving the coordinators: {error!r}")

    def _expand(self, fault: Fault) -> None:
        lasting = [topic.name for topic in self._plan.topics if not topic.doomed]
        name = lasting[fault.target % len(lasting)]
        count = self._partitions[name] + 1 + fault.target % 3
        if count > MOST_PARTITIONS:
            return
        self._note(f"expand {name} to {count}")
        self._partitions[name] = count
        try:
            with self._cluster.admin() as admin:
                admin.create_partitions(name, count)
        except (AdminError, ClusterError) as error:  # brokers are away: it was done or not, which is either way as good
            self._note(f"expanding {name}: {error}")

    def _delete(self, topic: TopicPlan, away: float) -> None:
        self.whole_since[topic.name] = float("inf")
        self._note(f"delete {topic.name}")
        self._until_done(lambda: self._delete_once(topic.name))
        gevent.sleep(away)
        self._until_done(lambda: self._create_once(topic))
        self.whole_since[topic.name] = monotonic()
        self._note(f"created {topic.name} again")

    def _until_done(self, attempt: Callable[[], None]) -> None:
        deadline = monotonic() + REPAIR_SECONDS
        while True:
            try:
                return attempt()
            except (AdminError, ClusterError):
                if monotonic() > deadline:
                    raise
                gevent.sleep(AGAIN_SECONDS)  # at once it is when all brokers are paused

    def _delete_once(self, name: str) -> None:
        try:
            with self._cluster.admin() as admin:
                admin.delete_topics([name])
        except AdminError as error:
            if error.error_code != ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                raise

    def _create_once(self, topic: TopicPlan) -> None:
        with self._cluster.admin() as admin:
            try:
                admin.create_topics([NewTopic(topic.name, topic.partitions)])
            except AdminError as error:
                if error.error_code != ErrorCode.TOPIC_ALREADY_EXISTS:
                    raise

    def _note(self, text: str) -> None:
        self.notes.append((monotonic(), text))
