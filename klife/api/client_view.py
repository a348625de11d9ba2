# distutils: define_macros=CYTHON_USE_TYPE_SPECS=1
"""`ClientView`: what a client tells of itself. Nothing here changes it.

`status`, `healthy` and `tree` answer at once, from any thread; `partitions` and `doctor` ask brokers, from the
client's home.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from klife import cython_shim as cython
from klife.actors import engines
from klife.actors.producer.validation import checked_topic
from klife.api import lifecycle
from klife.api.handle import Handle, deadline_in
from klife.api.status import ClientStatus, PartitionStatus, client_status, partition_statuses
from klife.errors import ClientClosed, InvalidRecordValue
from klife.wrong_self import refuse_wrong_self
from klife_supervision import TreeNode

if TYPE_CHECKING:
    from klife.api.doctor import DoctorReport

if cython.compiled:
    import cython


class ClientView:
    """Of the client that `handle` finds."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle: Handle = handle

    @property
    def name(self) -> str:
        """What `get` calls this client."""
        name: str = self._handle.name
        return name

    def partitions(self, topic: str) -> tuple[PartitionStatus, ...]:
        """The partitions of a topic, waiting up to `max_block_ms` where it is seen the first time. Looking
        creates none.

        Raises:
            UnknownTopic: the cluster does not know it. BrokersUnreachable: no broker answered.
        """
        engine = self._handle.current(so="")
        if not self._handle.is_at_home:
            result: tuple[PartitionStatus, ...] = self._handle.from_thread(lambda: self.partitions(topic), so="")
            return result
        info = engine.metadata.topic(checked_topic(topic, "topic", ""), self._handle.by_max_block(), creates=False)
        return partition_statuses(info)

    def status(self) -> ClientStatus:
        """The client at this moment, as a frozen value."""
        return client_status(self._handle.here())

    def healthy(self, max_silence_ms: float = 30_000) -> bool:
        """Whether the brokers answer: the cluster was known once, the client was not stopped, and it has not
        asked in vain for `max_silence_ms`. For readiness checks: answers at once, from any thread, and asks
        nobody itself.

        A client without traffic stays healthy as long as its brokers do: where none has answered for a third
        of that time, a request of the client's own is on its way in the background, and if nothing comes of
        it this turns False.

        Raises:
            InvalidRecordValue: `max_silence_ms` is no positive number.
        """
        if not isinstance(max_silence_ms, int | float) or not max_silence_ms > 0:
            raise InvalidRecordValue(f"max_silence_ms is {max_silence_ms!r}; expected milliseconds, more than 0")
        try:
            engine = self._handle.here()
        except ClientClosed:
            return False
        if engine.closing is not None:
            engine = engines.find(self.name) or engine
        return engine.closing is None and engine.health.is_good(max_silence_ms / 1000)

    def doctor(self, timeout: float = 10.0) -> DoctorReport:
        """Knock at every address of the cluster, those given and those that the brokers advertise: name,
        connection, TLS, SASL, versions, metadata, leaders of the topics this client knows. Over connections
        of its own, and within `timeout` seconds (and a little).

        What is wrong is in the report, which prints as a table with a verdict; `ok` says whether anything is.

        Raises:
            ClientClosed: the client was stopped.
        """
        deadline_in(timeout)  # refused here, and not at home
        engine = self._handle.current(so="")
        if not self._handle.is_at_home:
            report: DoctorReport = self._handle.from_thread(lambda: self.doctor(timeout), timeout, so="")
            return report
        return lifecycle.examined(engine, timeout)

    def tree(self) -> TreeNode:
        """The supervision tree at this moment; prints as a drawing, and each node can be killed
        (`node.kill()`).
        """
        tree: TreeNode = self._handle.here().supervisor.tree()
        return tree

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Client can not be copied or pickled: its connections and records are those of one process. Pass its name or its options "
            "on, and call Client.get or Client.start where it is needed"
        )

    def __repr__(self) -> str:
        return f"<Client {self.name!r}>"


if not cython.compiled:
    refuse_wrong_self(ClientView)
