"""Visitors who order, and whether each order is where its answer says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from http.client import HTTPException

import gevent

from klife import Record
from klife.testing.cluster import KafkaCluster
from tests.support.example import Example
from tests.support.reader import Read, read_topic
from tests.support.waiting import wait_until
from tests.support.web_service import PATIENCE, Visitor, WebService

VISITORS = 20


class Load:
    """Visitors who send orders, each one after the other, and note what they were answered."""

    def __init__(
        self,
        service: WebService | Example,
        path: str,
        requests_each: int,
        visitors: Sequence[Visitor] = (),
        *,
        once_ready: str | None = None,
    ) -> None:
        """With `once_ready`, the path of a readiness check, each begins when the worker that it is connected
        to says that it is.
        """
        self.answered: dict[bytes, tuple[int, bytes]] = {}
        self.unanswered = 0
        self.sent: set[bytes] = set()
        self._once_ready = once_ready
        self._visitors = [
            gevent.spawn(self._visit, visitor, path, who, requests_each)
            for who, visitor in enumerate(visitors or [Visitor(service.port) for _ in range(VISITORS)])
        ]

    def _visit(self, visitor: Visitor, path: str, who: int, requests: int) -> None:
        if self._once_ready is not None:
            wait_until(lambda: _is_ready(visitor, self._once_ready), PATIENCE)
        for number in range(requests):
            body = b"%d %d %d" % (id(self), who, number)
            self.sent.add(body)
            try:
                self.answered[body] = visitor.post(path, body)
            except ConnectionRefusedError:  # nobody listens any more
                self.sent.remove(body)
                return
            except (OSError, HTTPException):
                self.unanswered += 1
        visitor.leave()

    def wait(self) -> None:
        """Until all visitors have sent all they had, or nobody listens any more."""
        gevent.joinall(self._visitors, timeout=PATIENCE, raise_error=True)
        assert all(visitor.ready() for visitor in self._visitors)

    @property
    def statuses(self) -> set[int]:
        return {status for status, _ in self.answered.values()}

    @property
    def refusals(self) -> list[bytes]:
        """What was answered where an order was not taken."""
        return [answer for status, answer in self.answered.values() if status != 201]

    @property
    def places(self) -> dict[tuple[int, int], bytes]:
        """The orders that were answered with a partition and an offset."""
        answers = {body: json.loads(answer) for body, (status, answer) in self.answered.items() if status == 201}
        return {(answer["partition"], answer["offset"]): body for body, answer in answers.items()}


def _is_ready(visitor: Visitor, path: str) -> bool:
    try:
        return visitor.get(path)[0] == 200
    except (OSError, HTTPException):  # the worker has ended, or the connection was idle for too long
        return False


def assert_kept(cluster: KafkaCluster, topic: str, *loads: Load) -> int:
    """Each order that was answered is where the answer says, and none is there twice; how many are in the
    topic.
    """
    return assert_each_once(read_topic(cluster.bootstrap_servers, topic), *loads)


def assert_each_once(found: Sequence[Read | Record], *loads: Load) -> int:
    """The same of what was found in a topic."""
    log = {(each.partition, each.offset): each.value for each in found}
    for load in loads:
        assert {place: log.get(place) for place in load.places} == load.places
        assert len(load.places) == sum(status == 201 for status, _ in load.answered.values())
    assert max(Counter(each.value for each in found).values()) == 1
    assert set(log.values()) <= set().union(*(load.sent for load in loads))
    return len(found)
