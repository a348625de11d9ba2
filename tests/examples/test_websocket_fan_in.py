"""examples/websocket_fan_in: each message is where its answer says, and all sockets are closed in order."""

from __future__ import annotations

from http.client import HTTPConnection
from pathlib import Path

import gevent
import gevent.socket
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from klife.testing.fake import FakeCluster
from tests.support.example import PATIENCE, running, told
from tests.support.waiting import wait_until

SOCKETS, MESSAGES = 100, 2000


class Talker:
    """A websocket that sends its next message when the one before was answered, until it is closed."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self.answers: dict[str, str] = {}  # by message
        self.closed = 0
        self._socket = gevent.socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._protocol = WSConnection(ConnectionType.CLIENT)

    def talk(self) -> None:
        assert isinstance(self._told(Request(host="localhost", target="/")), AcceptConnection)
        while not self.closed:
            message = f"message {len(self.answers)} of {self.name}"
            answer = self._told(TextMessage(data=message))
            if isinstance(answer, TextMessage):
                self.answers[message] = answer.data
        self._socket.close()

    def _told(self, event: Event) -> Event:
        """What is said to `event`; and whether that was the last."""
        self._socket.sendall(self._protocol.send(event))
        while not (events := list(self._protocol.events())):
            self._protocol.receive_data(self._socket.recv(65536) or None)
        if isinstance(events[-1], CloseConnection):
            self.closed = events[-1].code
        return events[0]


def test_messages_of_a_hundred_sockets_are_where_their_answers_say_and_sigterm_loses_none(tmp_path: Path) -> None:
    command = told("websocket_fan_in", "python app.py")
    with (
        FakeCluster(topics={"messages": 6}) as kafka,
        running("websocket_fan_in", command, kafka.bootstrap_servers, tmp_path, {"PORT": "0"}) as service,
    ):
        plain = HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        plain.request("GET", "/")
        assert plain.getresponse().status == 426
        plain.close()

        talkers = [Talker(service.port, str(number)) for number in range(SOCKETS)]
        talking = [gevent.spawn(talker.talk) for talker in talkers]
        wait_until(lambda: sum(len(talker.answers) for talker in talkers) > MESSAGES, PATIENCE)
        assert service.terminate() == 0, service.log
        gevent.joinall(talking, timeout=PATIENCE, raise_error=True)

        assert {talker.closed for talker in talkers} == {1001}
        answers = {message: place for talker in talkers for message, place in talker.answers.items()}
        log = {f"{record.partition}:{record.offset}": (record.value or b"").decode() for record in kafka.records("messages")}
        assert {place: log[place] for place in answers.values()} == {place: message for message, place in answers.items()}
        assert len(set(log.values())) == len(log) == len(answers)
        assert service.log.splitlines()[-1] == f"StopReport(delivered={len(log)}, failed=0, undelivered=0)"
