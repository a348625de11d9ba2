"""`Engine`: the state of one running client, apart from the actors that work on it.

It owns the cluster's snapshot and brokers, the buffer pool and each producer's producer; `tree` builds the actors around it.
When the client's tree ends, for whatever reason, `ended` settles every delivery that is left, so that nobody waits for an answer
that can not come.

Engines are found by their client's name. A client that its user's supervisor restarts has a new engine under the old name, and that
is how a facade finds its way back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from sys import is_finalizing
from time import monotonic
from typing import Any

import gevent
from gevent import get_hub
from gevent._hub_local import get_hub_if_exists

from klife.actors.metadata.metadata import Metadata
from klife.actors.orphan import close_orphans, forget_tree
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.partitioners import resolve
from klife.actors.producer.producer import Producer
from klife.actors.producer.topic import Topic
from klife.actors.producer.validation import checked_topic
from klife.actors.runtime.home import tell_of_end
from klife.actors.runtime.latch import Latch, get_thread_ident, may_switch
from klife.actors.settings import ClientSettings
from klife.errors import ClientClosed, InvalidRecordType, InvalidRecordValue
from klife_supervision import AutoShutdown, ExitReason, RestartIntensityReached
from klife_supervision.logs import get_logger

log = get_logger("klife")


class Engine:
    """One running client."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.hub = get_hub()
        self.home = get_thread_ident()  # the hub's thread, as long as that has not ended
        self.loop = self.hub.loop
        self.metadata = Metadata(settings)
        self.pool = BufferPool(settings.max_buffered_bytes, block=settings.block_on_full)
        self.routes: dict[str, Topic] = {}  # of topics produced to, by each topic's own producer: the hot path's one look-up
        self.producers = {
            each.name: Producer(each, self.pool, self.hub, settings.max_block, self.metadata.broker) for each in settings.producers
        }
        self.supervisor: Any = None
        self._calling: set[Any] = set()  # greenlets of `call_soon`
        self.closing: str | None = None
        self.finished = Latch(self.hub)
        self.undelivered = 0
        self.exiting: Callable[[], None] | None = None  # at exit: delivers what was queued, as nobody does later
        self.inherited = False  # in a forked child: it is the parent's
        self.after_fork = False  # it took the place of one of the parent's, in a forked child, or of an orphan
        self.orphaned = False  # the hub that ran it is gone
        self.calls: set[Any] = set()  # from other threads, which wait
        self.held: Any = None  # a weak reference to what its clients hold, while any does
        self._partitioner = resolve(settings.default_partitioner)
        self._topic_partitioners = {topic: resolve(spec) for topic, spec in settings.topic_partitioners.items()}
        self.pool.on_pressure = self._skip_linger
        self.metadata.needs = lambda topic: any(producer.routing.holds(topic) for producer in self.producers.values())
        self.metadata.uses = lambda node_id: any(
            node_id == batcher.node_id for producer in self.producers.values() for batcher in producer.routing.batchers.values()
        )
        self.metadata.on_change.append(self._drop_vanished_topics)
        for producer in self.producers.values():
            self.metadata.on_change.append(producer.wake)
            producer.await_partition = partial(self._await_partition, producer)
            producer.hub_watch.on_other_hub = self.home_ended
        tell_of_end(self)

    # routes

    def route(self, topic: Any, chosen: str | None, deadline: float) -> Topic:
        """The route of a topic, waiting for metadata where it is seen the first time.

        Raises:
            InvalidRecordType, InvalidRecordValue: no such producer, or no such name for a topic.
            UnknownTopic, ProduceError: the cluster does not know it by `deadline`, or refuses it.
            ClientClosed: the client takes no more records.
        """
        if self.exiting is not None and is_finalizing():
            raise ClientClosed(
                f"client {self.name!r} takes no more records: the interpreter is being torn down, and no greenlet can send them. "
                "Nothing was queued; produce before that, in an atexit function at the latest."
            )
        name = checked_topic(topic)
        producer = self.producer(chosen or self.settings.topic_producers.get(name) or self.settings.default_producer)
        if producer.closed is not None:
            raise producer.closed_error()
        routing = producer.routing
        route = routing.routes.get(name)
        if route is None:
            info = self.metadata.topic(name, deadline, produces=True)
            if producer.closed is not None:  # stopped while we waited
                raise producer.closed_error()
            route = routing.routes.get(name) or routing.add_topic(info, self._topic_partitioners.get(name, self._partitioner))
        if chosen is None and self.exiting is None:
            self.routes[name] = route
        return route

    def _await_partition(self, producer: Producer, route: Topic, partition: int, deadline: float, chosen: bool) -> None:
        answers = 1 if chosen else 0
        info = self.metadata.wait_for_partitions(route.name, partition + 1, deadline, produces=True, answers=answers)
        if producer.closed is not None:  # stopped while we waited
            raise producer.closed_error()
        if info is not None:
            producer.routing.grew(route, info)

    def producer(self, name: Any) -> Producer:
        if not isinstance(name, str):
            raise InvalidRecordType(f"producer is a {type(name).__name__}; expected the name of one of this client's producers")
        producer = self.producers.get(name)
        if producer is None:
            names = ", ".join(map(repr, self.producers)) or "none: its feature is disabled"
            raise InvalidRecordValue(f"there is no producer {name!r} in this client; it has {names}")
        return producer

    def _skip_linger(self, by: int) -> None:
        for producer in self.producers.values():
            producer.skip_linger(by)

    def _drop_vanished_topics(self) -> None:
        topics = self.metadata.snapshot.topics
        for topic in [topic for topic in self.routes if topic not in topics]:
            del self.routes[topic]

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in a greenlet of the home thread, for which a flush waits as for callbacks. From any thread."""
        if get_hub_if_exists() is not self.hub:
            self.loop.run_callback_threadsafe(self.call_soon, function)
            return
        greenlet = gevent.spawn(self._call, function)
        self._calling.add(greenlet)
        greenlet.rawlink(self._calling.discard)

    def _call(self, function: Callable[[], object]) -> None:
        if not self.inherited:  # else this greenlet is a copy, in a forked child; the function is called in the parent
            function()

    # the end

    def close(self, reason: str) -> None:
        """Take no more records."""
        if self.closing is None:
            self.closing = reason
        self.routes.clear()
        self.metadata.close(self.closed_error)
        for producer in self.producers.values():
            producer.close(reason)
            producer.identities.known.set()  # who waits for one waits in vain

    def closed_error(self) -> ClientClosed:
        return ClientClosed(f"client {self.name!r} takes no more records: {self.closing}. Nothing was queued; start a new client.")

    def flush(self, deadline: float) -> int:
        """Send what is pending now and wait for the outcomes until `deadline` (monotonic seconds); return how many are left."""
        self._skip_linger(1)  # all of them, before waiting for any
        try:
            left = sum(producer.flush(deadline) for producer in self.producers.values())
        finally:
            self._skip_linger(-1)
        in_callback = any(producer.callbacks.is_running_in_this_greenlet for producer in self.producers.values())
        if in_callback or gevent.getcurrent() in self._calling:
            return left  # called by a callback, which must not wait for its own end
        if not left:
            # Those there are now; later records have more, perhaps for ever.
            unfinished = [(each.callbacks, each.callbacks.unfinished()) for each in self.producers.values()]
            calling = list(self._calling)
            through = all(callbacks.wait_for(batches, deadline) for callbacks, batches in unfinished)
            if len(gevent.joinall(calling, timeout=max(deadline - monotonic(), 0.0))) < len(calling) or not through:
                log.warning("callbacks_still_running", client=self.name)
        return left

    @property
    def is_whole(self) -> bool:
        """Whether no part of the client's tree was given up."""
        return self.supervisor is not None and all(child.state in ("running", "stopping") for child in self.supervisor.which_children())

    def ended(self, reason: ExitReason) -> None:
        """The client's tree is gone: settle what is left, and let the name go."""
        if self.finished.is_set:
            return
        how = _told(reason)
        self.close(f"it ended ({how})")
        why = f"client {self.name!r} ended ({how}) before the brokers had confirmed"
        left = sum(producer.abandon(why) for producer in self.producers.values())
        self.undelivered += left
        if left:
            log.error("records_not_delivered", client=self.name, count=left, reason=str(reason))
        unregister(self)
        self.finished.set()

    @property
    def home_is_gone(self) -> bool:
        """Whether the hub that ran it is gone: its thread has ended, or the hub was destroyed."""
        if self.hub.loop is None:
            self.home_ended()
        return self.orphaned

    def home_ended(self) -> None:
        """The hub that ran it is gone: tell everybody, and leave the name to what takes its place. In the thread that notices."""
        if self.orphaned or self.inherited or self.finished.is_set:
            return
        self.orphaned = True
        how = "the thread that started it has ended, or has destroyed its gevent hub"
        self.metadata.inbox = None
        close_orphans(self.metadata.brokers.values(), self.producers.values())
        self.close(how + ("" if self.settings.restart_after_fork else ', and its on_fork is "raise"'))
        for call in list(self.calls):
            call.home_ended()
        self.ended(ExitReason.shutdown(how))
        _inherited[self.name] = self
        forget_tree(self.hub, self.supervisor)

    def refuse_stop(self) -> None:
        """Look whether the caller may wait for a stop, before anything is closed.

        Raises:
            RuntimeError: it is the hub, an actor of klife or one of its supervisors, or the client is still being started.
        """
        supervisor = self.supervisor
        if not may_switch() or (supervisor is not None and supervisor.is_calling()):
            raise RuntimeError(
                f"client {self.name!r} can not be stopped inside the gevent hub, nor inside klife's own greenlets, where a handler of "
                "signal.signal or a callback of the loop may run: stop waits for deliveries, which come by them. Nothing was stopped. "
                "Use gevent.signal_handler(signal.SIGTERM, client.stop), or gevent.spawn(client.stop)"
            )
        if supervisor is None:
            raise RuntimeError(
                f"client {self.name!r} is still being started, and can not be stopped before. Nothing was stopped. "
                "Call stop once Client.start has returned, or gevent.spawn it"
            )

    def stop(self, timeout: float) -> None:
        """Take no more records, deliver what was accepted within `timeout` seconds, settle the rest, end all actors.

        Raises:
            RuntimeError: called where it can not wait, as `refuse_stop` tells. Nothing was stopped.
        """
        self.refuse_stop()
        deadline = monotonic() + timeout
        self.close("it was stopped")
        self.flush(deadline)
        for producer in self.producers.values():
            self.undelivered += producer.abandon(f"client {self.name!r} was stopped before the brokers had confirmed")
        self.supervisor.stop(timeout=max(deadline - monotonic(), 2.0))
        self.ended(ExitReason.shutdown("stopped"))

    @property
    def unsettled(self) -> int:
        """Records without an outcome."""
        return sum(producer.unsettled for producer in self.producers.values())


def _told(reason: ExitReason) -> str:
    """Why a client ended, for those who had records in it: of supervisors that ended for one below them, what that one says."""
    while isinstance(reason.term, AutoShutdown):
        reason = reason.term.reason
    return str(reason.term) if isinstance(reason.term, RestartIntensityReached) else str(reason)


_engines: dict[str, Engine] = {}
_inherited: dict[str, Engine] = {}  # the parent's, in a forked child, and orphans, until something else has their name
_NO_HUB = object()
_registered = Latch(_NO_HUB)  # of all threads: who waits for it does so in his own hub


def register(engine: Engine) -> None:
    """Let `engine` be found by its name.

    Raises:
        ValueError: the name is taken by a client that lives.
    """
    global _registered
    if _engines.setdefault(engine.name, engine) is not engine:
        raise ValueError(f"there is a client named {engine.name!r} already; stop it first, or choose another name")
    forget_inherited(engine.name)
    waiting, _registered = _registered, Latch(_NO_HUB)
    waiting.set()


def unregister(engine: Engine) -> None:
    """Free the engine's name, if it is still its own."""
    if _engines.get(engine.name) is engine:
        del _engines[engine.name]


def find(name: str) -> Engine | None:
    """The running engine of that name."""
    return _engines.get(name)


def wait_for(name: str, timeout: float) -> Engine | None:
    """The engine of that name, waiting up to `timeout` seconds for one to be started."""
    deadline = monotonic() + timeout
    while name not in _engines:
        if not _registered.wait(deadline - monotonic()):
            return None
    return _engines[name]


def inherit() -> list[Engine]:
    """In a forked child: what runs here is the parent's. Returned, and from now on under `inherited`, no longer under `find`."""
    global _registered
    _registered = Latch(_NO_HUB)  # those who waited are the parent's
    engines = running()
    _engines.clear()
    _inherited.update((engine.name, engine) for engine in engines)
    return engines


def inherited(name: str) -> Engine | None:
    """The parent's engine of that name, if this is a forked child in which nothing had the name since."""
    return _inherited.get(name)


def forget_inherited(name: str) -> None:
    """The name is taken, or its client was stopped, in this process."""
    _inherited.pop(name, None)


def running() -> list[Engine]:
    """All running engines of this process."""
    return list(_engines.values())
