"""Orders over HTTP, served by threads: `flask run`, gunicorn's gthread and sync workers, mod_wsgi.

    POST /orders    waits for the brokers, and answers with the partition and the offset
    POST /clicks    answers at once; what becomes of a click is logged

The client's thread does the work; requests' threads only wait.
"""

import atexit
import logging
import os
import signal
import sys

from flask import Flask, request

from klife import Client, KlifeError, Record

log = logging.getLogger("shop")
app = Flask(__name__)

# No thread here runs a gevent hub, so the client brings one. Made at the import it serves every thread; and if the server forks
# after that (gunicorn --preload), each worker gets a client of its own at its first record.
client = Client.start(os.environ.get("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092"), name="shop", run_in="thread")

# What /clicks has queued is delivered when the process ends in an orderly way.
atexit.register(client.stop, timeout=10)
if os.environ.get("FLASK_RUN_FROM_CLI") == "true":  # else SIGTERM is the server's, as gunicorn's is
    # By default SIGTERM ends `flask run` at once, and `atexit` is never called.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


@app.post("/orders")
def order():
    try:
        result = client.produce(Record("orders", request.get_data())).get()
    except KlifeError as error:
        # Whoever sends a "possibly persisted" order again may order twice, so the answer must say it.
        return {"error": str(error), "possibly_persisted": getattr(error, "possibly_persisted", False)}, 503
    return {"partition": result.partition, "offset": result.offset}, 201


@app.post("/clicks")
def click():
    try:
        client.produce_async(Record("clicks", request.get_data()), settled)
    except KlifeError as error:
        return {"error": str(error)}, 503
    return {}, 202


def settled(result):
    if result.error is not None:
        log.error("a click is lost: %s", result.error)
