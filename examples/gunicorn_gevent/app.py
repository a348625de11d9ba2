"""A shop that takes orders over HTTP and writes them to Kafka.

    POST /orders    waits for the brokers, and answers with the partition and the offset
    POST /clicks    answers at once; what becomes of a click is told to `settled`

The client's options come from the environment, KLIFE_BOOTSTRAP_SERVERS and so on, with the defaults of gunicorn.conf.py.
"""

import logging
import os

from flask import Flask, request

from klife import Client, ClientConfig, KlifeError, Record

ORDERS = os.environ.get("SHOP_ORDERS_TOPIC", "shop-orders")
CLICKS = os.environ.get("SHOP_CLICKS_TOPIC", "shop-clicks")

log = logging.getLogger("gunicorn.error")
app = Flask(__name__)

# One line for both ways: without --preload each worker imports this and has a client of its own; with it the master imports this,
# and in each worker a client of its own takes the place of the master's when it is first used.
client = Client.start(ClientConfig.from_env(), name="shop")


@app.post("/orders")
def order():
    try:
        result = client.produce(Record(ORDERS, request.get_data())).get()
    except KlifeError as error:
        # Whoever sends a "possibly persisted" order again may order twice, so the answer must say it.
        return {"error": str(error), "possibly_persisted": getattr(error, "possibly_persisted", False)}, 503
    return {"partition": result.partition, "offset": result.offset}, 201


@app.post("/clicks")
def click():
    try:
        client.produce_async(Record(CLICKS, request.get_data()), settled)
    except KlifeError as error:
        return {"error": str(error)}, 503
    return {}, 202


def settled(result):
    if result.error is not None:
        log.error("a click is lost: %s", result.error)
