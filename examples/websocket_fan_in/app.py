"""Many websockets, one topic: each message is answered with its place in Kafka, as `partition:offset`."""

from gevent import monkey

monkey.patch_all()  # simple-websocket reads each socket in a thread, which is a greenlet then

import os
import signal
from functools import partial
from threading import Thread

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer
from simple_websocket import ConnectionClosed, Server

from klife import Client, KlifeError, Record

SOCKETS = 10_000  # more have to wait
GOING_AWAY = 1001
# A limit of its own, because each socket's messages wait in memory; and reading holds up no exit.
accept = partial(Server.accept, ping_interval=25, max_message_size=100_000, thread_class=partial(Thread, daemon=True))

client = Client.start(os.environ.get("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092"), name="fan-in", delivery_timeout_ms=20_000)
ended = Event()


def app(environ, start_response):
    if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
        start_response("426 Upgrade Required", [("Upgrade", "websocket")])
        return []
    socket = accept(environ)
    try:
        while not ended.is_set():
            message = socket.receive(timeout=1)  # to look whether it has ended
            if message is not None:
                socket.send(produced(message))
        socket.close(reason=GOING_AWAY)
    except ConnectionClosed:
        pass
    return []


def produced(message):
    """One message of a socket is on its way at a time; those of all sockets share requests. So batches form by themselves, and
    who sends faster than Kafka takes waits for nobody but himself.
    """
    value = message if isinstance(message, bytes) else message.encode()
    try:
        record = client.produce(Record("messages", value)).get()
    except KlifeError as error:
        return f"possibly lost: {error}" if getattr(error, "possibly_persisted", False) else f"lost: {error}"
    return f"{record.partition}:{record.offset}"


class OneRequest(WSGIHandler):
    """What comes on a connection behind its websocket is no request."""

    def handle_one_response(self):
        super().handle_one_response()
        self.close_connection = True


def main():
    address = ("127.0.0.1", int(os.environ.get("PORT", "8000")))
    server = WSGIServer(address, app, log=None, spawn=Pool(SOCKETS), handler_class=OneRequest)
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, ended.set)
    server.start()
    print(f"listening at http://127.0.0.1:{server.server_port}", flush=True)
    ended.wait()
    server.stop(timeout=25)  # no new sockets; those there are answer what they have taken, and are closed
    print(client.stop(timeout=5), flush=True)


if __name__ == "__main__":
    main()
