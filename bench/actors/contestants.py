"""The contestants: ways to have an actor with gevent, and to have it back when it crashed.

Each is imported and run in a process of its own, so that pykka's threads are patched and nobody else is. All
do the same: an actor counts its messages and answers an ask with what it was asked; a child that is told BOOM
raises; whatever runs anew says so to `Births`, which is how a measure knows that a restart is through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from gevent.event import Event

BOOM = "boom"
NO_LIMIT: dict[str, Any] = {"intensity": 1_000_000, "period": 0.1}


class Births:
    """Counts starts; `wait` until so many more have been seen than when they were expected."""

    def __init__(self) -> None:
        self._count = 0
        self._goal = 0
        self._reached = Event()

    def expect(self, more: int) -> None:
        self._goal = self._count + more
        self._reached.clear()

    def note(self) -> None:
        self._count += 1
        if self._count == self._goal:
            self._reached.set()

    def wait(self) -> None:
        if not self._reached.wait(60):
            raise RuntimeError(f"of {self._goal} starts only {self._count} were seen within 60 s")


class Peer(Protocol):
    """Something that messages can be sent to."""

    def tell(self, message: Any) -> None: ...

    def ask(self, message: Any) -> Any: ...


class Contestant(Protocol):
    """One way to do it. `tree` starts so many children, each noting its births; it gives a function that
    crashes one by number.
    """

    DRIVEN: str

    def peer(self) -> Any:
        """A context in which a `Peer` lives, or None where there are no messages."""

    def tree(self, children: int, births: Births) -> Any:
        """A context in which so many children live; it gives a `Callable[[int], None]` that crashes one."""


class KlifeActors:
    """`GeventActor` without anybody who looks after it."""

    DRIVEN = "a `GeventActor`, started by hand. No restarts: nobody looks after it"

    def __init__(self) -> None:
        from klife.actors.runtime.actor import GeventActor

        class Counter(GeventActor):
            count = 0

            def on_receive(self, message: Any) -> Any:
                self.count += 1
                return message

        class Child(GeventActor):
            def __init__(self, number: int, refs: dict[int, Any], births: Births) -> None:
                super().__init__()
                self.number, self.refs, self.births = number, refs, births

            def on_start(self) -> None:
                self.refs[self.number] = self.actor_ref
                self.births.note()

            def on_receive(self, message: Any) -> None:
                raise RuntimeError(message)

        self.counter, self.child = Counter, Child

    @contextmanager
    def peer(self) -> Iterator[Peer]:
        ref = self.counter.start()
        yield ref
        ref.stop()

    @contextmanager
    def tree(self, children: int, births: Births) -> Iterator[None]:
        refs: dict[int, Any] = {}
        for number in range(children):
            self.child.start(number, refs, births)
        yield None
        for ref in refs.values():
            ref.stop()


class SupervisedKlifeActors(KlifeActors):
    """`GeventActor` under a `Supervisor`: how klife itself is built."""

    DRIVEN = "the same under a `Supervisor`, one_for_one; the storm under a `DynamicSupervisor`. Every event is made, and then dropped"

    @contextmanager
    def peer(self) -> Iterator[Peer]:
        from klife_supervision import ChildSpec, Supervisor

        with Supervisor.start([ChildSpec(id="counter", start=self.counter.start)]) as supervisor:
            yield supervisor.child("counter")

    def spec(self, number: int, refs: dict[int, Any], births: Births) -> Any:
        from klife_supervision import ChildSpec

        return ChildSpec(id=number, start=lambda: self.child.start(number, refs, births))

    @contextmanager
    def tree(self, children: int, births: Births) -> Iterator[Callable[[int], None]]:
        from klife_supervision import Supervisor

        refs: dict[int, Any] = {}
        specs = [self.spec(number, refs, births) for number in range(children)]
        with Supervisor.start(specs, **NO_LIMIT):
            yield lambda number: refs[number].tell(BOOM)

    @contextmanager
    def storm_tree(self, children: int, births: Births) -> Iterator[Callable[[int], None]]:
        from klife_supervision import DynamicSupervisor

        refs: dict[int, Any] = {}
        with DynamicSupervisor.start(**NO_LIMIT) as supervisor:
            for number in range(children):
                supervisor.start_child(self.spec(number, refs, births))
            yield lambda number: refs[number].tell(BOOM)


class SupervisedFunctions:
    """Functions in greenlets under a supervisor: `klife_supervision` used alone."""

    DRIVEN = "functions that wait for an event, by `ChildSpec.from_callable`, under the same supervisors"

    @contextmanager
    def peer(self) -> Iterator[None]:
        yield None

    def spec(self, number: int, fuses: dict[int, Event], births: Births) -> Any:
        from klife_supervision import ChildSpec

        def wait_and_crash() -> None:
            fuse = fuses[number] = Event()
            births.note()
            fuse.wait()
            raise RuntimeError(BOOM)

        return ChildSpec.from_callable(wait_and_crash, id=number)

    @contextmanager
    def tree(self, children: int, births: Births) -> Iterator[Callable[[int], None]]:
        from klife_supervision import Supervisor

        fuses: dict[int, Event] = {}
        specs = [self.spec(number, fuses, births) for number in range(children)]
        with Supervisor.start(specs, **NO_LIMIT):
            births.wait()
            yield lambda number: fuses[number].set()

    @contextmanager
    def storm_tree(self, children: int, births: Births) -> Iterator[Callable[[int], None]]:
        from klife_supervision import DynamicSupervisor

        fuses: dict[int, Event] = {}
        with DynamicSupervisor.start(**NO_LIMIT) as supervisor:
            for number in range(children):
                supervisor.start_child(self.spec(number, fuses, births))
            births.wait()
            yield lambda number: fuses[number].set()


class PlainGevent:
    """What one writes by hand: a greenlet that reads a queue, an AsyncResult for an answer, a link that
    spawns it again.
    """

    DRIVEN = (
        "a greenlet that reads a `gevent.queue.SimpleQueue`; an `AsyncResult` as an ask's answer; a link that spawns a crashed one "
        "again, without limit, order or log; the hub prints no tracebacks"
    )

    def __init__(self) -> None:
        import gevent

        gevent.get_hub().exception_stream = None

    @contextmanager
    def peer(self) -> Iterator[Peer]:
        import gevent
        from gevent.event import AsyncResult
        from gevent.queue import SimpleQueue

        class Actor:
            def __init__(self) -> None:
                self.count = 0
                self.inbox: Any = SimpleQueue()

            def run(self) -> None:
                get = self.inbox.get
                while True:
                    message, answer = get()
                    self.count += 1
                    if answer is not None:
                        answer.set(message)

            def tell(self, message: Any) -> None:
                self.inbox.put((message, None))

            def ask(self, message: Any) -> Any:
                answer: Any = AsyncResult()
                self.inbox.put((message, answer))
                return answer.get()

        actor = Actor()
        greenlet = gevent.spawn(actor.run)
        yield actor
        greenlet.kill()

    @contextmanager
    def tree(self, children: int, births: Births) -> Iterator[Callable[[int], None]]:
        import gevent
        from gevent.queue import SimpleQueue

        running: dict[int, tuple[Any, Any]] = {}

        def run(inbox: Any) -> None:
            births.note()
            raise RuntimeError(inbox.get())

        def start(number: int) -> None:
            inbox: Any = SimpleQueue()
            greenlet = gevent.spawn(run, inbox)
            greenlet.link_exception(lambda _crashed: start(number))
            running[number] = greenlet, inbox

        for number in range(children):
            start(number)
        births.wait()
        yield lambda number: running[number][1].put(BOOM)
        gevent.killall([greenlet for greenlet, _ in running.values()])


class StockPykka:
    """`pykka.ThreadingActor`, its threads patched to be greenlets; pykka restarts nothing, so `on_failure`
    does.
    """

    DRIVEN = "`ThreadingActor` after `monkey.patch_all()`; a crashed one starts its successor in `on_failure`; its log is off"

    def __init__(self) -> None:
        from gevent import monkey

        monkey.patch_all()
        import logging

        import pykka

        logging.getLogger("pykka").disabled = True

        class Counter(pykka.ThreadingActor):
            count = 0

            def on_receive(self, message: Any) -> Any:
                self.count += 1
                return message

        class Child(pykka.ThreadingActor):
            def __init__(self, number: int, refs: dict[int, Any], births: Births) -> None:
                super().__init__()
                self.number, self.refs, self.births = number, refs, births

            def on_start(self) -> None:
                self.refs[self.number] = self.actor_ref
                self.births.note()

            def on_receive(self, message: Any) -> None:
                raise RuntimeError(message)

            def on_failure(self, *_exc_info: Any) -> None:
                Child.start(self.number, self.refs, self.births)

        self.counter, self.child = Counter, Child

    @contextmanager
    def peer(self) -> Iterator[Peer]:
        ref = self.counter.start()
        yield ref
        ref.stop()

    @contextmanager
    def tree(self, children: int, births: Births) -> Iterator[Callable[[int], None]]:
        refs: dict[int, Any] = {}
        for number in range(children):
            self.child.start(number, refs, births)
        births.wait()
        yield lambda number: refs[number].tell(BOOM)
        for ref in refs.values():
            ref.stop()


# In the order of the report. The first two differ in nothing but a supervisor.
CONTESTANTS: dict[str, type[Contestant]] = {
    "klife actor": KlifeActors,
    "klife actor, supervised": SupervisedKlifeActors,
    "function, supervised": SupervisedFunctions,
    "plain gevent": PlainGevent,
    "stock pykka": StockPykka,
}
