"""Many websockets, one topic: each message is answered with its place in Kafka.

    python app.py        and then, in a browser: new WebSocket("ws://localhost:8000/")
"""

from gevent import monkey

monkey.patch_all()  # simple-websocket reads each socket in a thread, which is a greenlet then

import os
import signal

import gevent
from gevent.pywsgi import WSGIServer
from simple_websocket import ConnectionClosed, Server

from klife import Client, KlifeError, Record

client = Client.start(os.environ.get("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092"), name="fan-in", delivery_timeout_ms=20_000)
sockets = set()


def app(environ, start_response):
    if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
        start_response("426 Upgrade Required", [("Upgrade", "websocket")])
        return []
    # A limit of its own: each socket's messages wait in memory until they are produced.
    socket = Server.accept(environ, ping_interval=25, max_message_size=100_000)
    sockets.add(socket)
    try:
        while True:
            socket.send(produced(socket.receive()))
    except ConnectionClosed:
        return []
    finally:
        sockets.discard(socket)


def produced(message):
    """One message of a socket is on its way at a time; those of all sockets share requests. So a batch forms of itself, and who
    sends faster than Kafka takes waits in his own socket.
    """
    value = message if isinstance(message, bytes) else message.encode()
    try:
        record = client.produce(Record("messages", value)).get()
    except KlifeError as error:
        return f"possibly lost: {error}" if getattr(error, "possibly_persisted", False) else f"lost: {error}"
    return f"{record.partition}:{record.offset}"


def main():
    server = WSGIServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), app, log=None)
    ended = gevent.event.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, ended.set)
    server.start()
    print("listening at", server.server_port, flush=True)
    ended.wait()
    server.close()  # no new sockets, while those there are have what they sent answered
    print(client.stop(timeout=25), flush=True)
    for socket in list(sockets):
        socket.close(reason=1001)  # going away


if __name__ == "__main__":
    main()
