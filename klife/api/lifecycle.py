"""How a client comes to life: an engine under its name, a supervision tree around it, and the wait until both
can work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Unpack

from klife.actors import engines
from klife.actors.engine import Engine
from klife.actors.metadata.messages import GetCluster
from klife.actors.metadata.metadata import CHECK_ADDRESSES
from klife.actors.producer.producers import Producers
from klife.actors.runtime.forked import take_note
from klife.actors.runtime.future import WaitTimeout
from klife.actors.runtime.hub_pause import WORTH_TELLING, pause_told
from klife.actors.settings import ClientSettings
from klife.actors.tree import INTENSITY, PERIOD, children
from klife.api import after_fork, at_exit, pure_notice
from klife.api.settings import checked_config, client_settings
from klife.errors import ConfigError, NotReady
from klife_supervision import ChildSpec, ExitReason, Supervisor
from klife_supervision.logs import telling

if TYPE_CHECKING:
    from klife.api.config import ClientConfig
    from klife.api.config.keywords import ClientKeywords
    from klife.api.doctor import DoctorReport

_numbers = count(1)  # of clients without a name
STOP_TIMEOUT = 30.0  # seconds an orderly stop takes to deliver what was accepted, unless told otherwise


def configured(source: str | list[str] | Mapping[str, Any] | ClientConfig | None, /, **options: Unpack[ClientKeywords]) -> ClientConfig:
    """The configuration of a client that is about to be started.

    Raises:
        ConfigError: with one line for everything wrong.
    """
    return checked_config(source, options)


def start(config: ClientConfig) -> Engine:
    """Start a client with a root supervisor of its own; its name is made up if it has none.

    Raises:
        ConfigError: a client of that name runs already.
    """
    settings = client_settings(config, config.name or _unused_name())
    return _start_in_home(settings, lambda: _register(settings))


def _unused_name() -> str:
    """A name for a client without one. It says nothing to the brokers; they see the configured name, or
    "klife".
    """
    return next(name for name in map("klife-{}".format, _numbers) if engines.find(name) is None and engines.inherited(name) is None)


def find(name: str, so: str = "") -> Engine | None:
    """The engine that runs under `name` in this process.

    In a forked child a client of the parent's that is looked for the first time is started afresh, with a
    supervisor of its own (also where the parent's had another: that one's copy is gevent's, and may not run
    at all). `so` goes into the error's text.

    Raises:
        ClientClosed: it is one of the parent's, and its `on_fork` is "raise".
    """
    take_note()
    inherited = engines.inherited(name)  # looked at before what runs: it goes when the one in its place is there
    found = engines.find(name)
    if found is not None or inherited is None:
        return found
    if not inherited.settings.restart_after_fork:
        raise inherited.closed_error(so)
    return _start_in_home(inherited.settings, lambda: _register_in_place(inherited))


def _start_in_home(settings: ClientSettings, register: Callable[[], tuple[Engine, bool]]) -> Engine:
    """Start the tree of what `register()` returns, unless it says that this is somebody else's; in the
    caller's thread, or in one of the client's own.
    """

    def start() -> Engine:
        engine, is_ours = register()
        return _start_root(engine) if is_ours else engine

    if not settings.in_own_thread:
        return start()
    from klife.api.own_thread import start_in_own_thread  # by clients that have one

    return start_in_own_thread(settings.name, start)


def _register_in_place(inherited: Engine) -> tuple[Engine, bool]:
    """An engine in the place of one that was left behind; or the one that another thread was first with."""
    engine = _engine(inherited.settings)
    engine.after_fork = True
    engine.in_child = inherited.inherited
    try:
        engines.register(engine)
    except ValueError:
        return engines.find(engine.name) or engine, False
    return engine, True


def child_spec(config: ClientConfig, name: str) -> ChildSpec:
    """The same as a child of a user's supervisor. Started again, it has a new engine under the old name."""

    def start_child() -> Supervisor:
        take_note()
        running = engines.find(name)
        if running is not None and running.after_fork:  # in a forked child: the supervisor's copy has its client back
            running.stop(STOP_TIMEOUT)
        engine, _ = _register(client_settings(config, name))
        spec = Supervisor.child_spec(
            id=name,
            strategy="one_for_one",
            intensity=INTENSITY,
            period=PERIOD,
            auto_shutdown="any_significant",
            children=children(engine, STOP_TIMEOUT),
        )
        supervisor: Supervisor = _run(engine, spec.start).supervisor
        return supervisor

    return ChildSpec(id=name, start=start_child, type="supervisor", shutdown=STOP_TIMEOUT + 5.0)


def wait_ready(engine: Engine, timeout: float) -> None:
    """Wait until the cluster has answered and every idempotent producer has its id.

    Raises:
        NotReady: not within `timeout` seconds; the text says what each address answered.
        ClientClosed: the client was stopped.
    """
    deadline = monotonic() + timeout
    try:
        _wait_until(engine, deadline)
    except WaitTimeout:
        late = monotonic() - deadline
        if late >= WORTH_TELLING:  # the hub was away: the answer may be there
            with suppress(WaitTimeout):
                _wait_until(engine, monotonic() + WORTH_TELLING)
                return
        raise NotReady(_why_not_ready(engine, timeout, late)) from None


def _wait_until(engine: Engine, deadline: float) -> None:
    if engine.closing is not None:
        raise engine.closed_error()
    if not engine.metadata.snapshot.brokers:
        engine.metadata.actor.ask(GetCluster(), deadline)
    for part in engine.parts:
        part.wait_ready(deadline)


def examined(engine: Engine, timeout: float) -> DoctorReport:
    """What the doctor finds at the addresses of the client's cluster, within `timeout` seconds."""
    from klife.api.doctor.examination import examine  # seldom needed

    settings, metadata = engine.settings, engine.metadata
    topics = sorted({*settings.prefetched_topics, *metadata.snapshot.topics})
    return examine(settings.bootstrap, settings.connection, metadata.security, topics or None, timeout)


def _why_not_ready(engine: Engine, timeout: float, late: float) -> str:
    """What each address and each producer without an id met with."""
    lines = [f"client {engine.name!r} was not ready within {timeout:g} s:"]
    lines += [f"  - {trouble}" for trouble in engine.metadata.troubles()]
    lines += [f"  - {trouble}" for part in engine.parts for trouble in part.troubles()]
    pause = pause_told(late)
    if pause:
        lines.append(f"  - {pause}")
    lines.append(f"It goes on trying; {CHECK_ADDRESSES}")
    return "\n".join(lines)


def _engine(settings: ClientSettings) -> Engine:
    """An engine with all that a client can do."""
    with telling(client=settings.name):
        pure_notice.tell()
        engine = Engine(settings)
        producers = engine.add(Producers(engine))
        if settings.txn_pools:
            from klife.actors.transactions.transactions import Transactions  # 20 ms, which other clients need not take

            engine.add(Transactions(engine, producers))
    return engine


def _start_root(engine: Engine) -> Engine:
    return _run(
        engine,
        lambda: Supervisor.start(
            children(engine, STOP_TIMEOUT),
            strategy="one_for_one",
            intensity=INTENSITY,
            period=PERIOD,
            auto_shutdown="any_significant",
            name=f"klife {engine.name}",
        ),
    )


def _register(settings: ClientSettings) -> tuple[Engine, bool]:
    name = settings.name
    take_note()
    running = engines.find(name)
    if running is not None and running.home_is_gone:
        running = None
    if running is not None and running.supervisor is not None and running.supervisor.exit_reason is not None:
        running.ended(running.supervisor.exit_reason)  # its end has not been told yet
        running = None
    if running is not None:
        raise ConfigError([f"name: there is a client named {name!r} in this process already; stop it first, or choose another name"])
    engine = _engine(settings)
    engines.register(engine)
    return engine, True


def _run(engine: Engine, start_tree: Callable[[], Supervisor]) -> Engine:
    try:
        with telling(client=engine.name):
            supervisor = start_tree()
    except BaseException as error:
        engine.ended(ExitReason.crashed(error))  # a facade that found it by its name may have callers who wait
        raise
    engine.supervisor = supervisor
    observer = engine.settings.observer
    if observer is not None and observer.on_sample:
        from klife.actors.sampler import Sampler  # by clients whose hooks want samples

        Sampler(engine, observer)
    supervisor.monitor(engine.ended)
    at_exit.watch(engine)
    after_fork.watch()
    return engine
