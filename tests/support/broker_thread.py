"""A scripted cluster in a thread of its own, for programs whose main thread blocks; and calls in threads that
come and go.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any

import gevent

from klife import Record
from tests.support.scripted_broker import ScriptedCluster


class BrokerThread:
    """Has `bootstrap_servers`. `scripts` are pairs of a request and what each of them gets, `partitions` those
    of the topic `orders`.
    """

    def __init__(self, *scripts: tuple[Any, Any], partitions: int = 1) -> None:
        self._scripts = scripts
        self._topics = {"orders": partitions}
        self._up = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with ScriptedCluster(topics=self._topics) as cluster:
            self._cluster = cluster
            for request, step in self._scripts:
                cluster[1].always(request, step)
            self.bootstrap_servers = cluster.bootstrap_servers
            self._up.set()
            while not self._over:
                gevent.sleep(0.01)

    def has_seen(self, request: type[Any]) -> bool:
        return bool(self._cluster[1].got(request))

    def __enter__(self) -> BrokerThread:
        atexit.register(self.__exit__)  # a thread that still runs Python while that is taken down may crash it
        self._thread.start()
        assert self._up.wait(60)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._over = True
        self._thread.join(60)


def in_thread(function: Callable[[], Any], patience: float = 60.0) -> Any:
    """What `function` returns or raises in a thread that ends with it."""
    answer: list[Any] = []

    def run() -> None:
        try:
            answer.append(function())
        except BaseException as error:
            answer.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(patience)
    assert not thread.is_alive()
    if isinstance(answer[0], BaseException):
        raise answer[0]
    return answer[0]


def order(number: int = 0) -> Record:
    return Record("orders", b"%d" % number, partition=0)
