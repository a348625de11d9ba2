"""A shop as it runs in production: orders over HTTP, with metrics, health checks and logs.

    POST /orders    waits for the brokers, and answers with the partition and the offset
    GET /livez      whether this process answers
    GET /readyz     whether Kafka does
    GET /metrics    what all workers have counted

The client's options come from the environment, KLIFE_BOOTSTRAP_SERVERS and so on, with the defaults of gunicorn.conf.py.
"""

import logging
import os

from flask import Flask, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

from klife import Client, ClientConfig, KlifeError, Record
from klife.metrics.prometheus import PrometheusHooks

MAX_SILENCE_MS = int(os.environ.get("SHOP_MAX_SILENCE_MS", "15000"))

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")  # klife's lines, too
app = Flask(__name__)
client = Client.start(ClientConfig.from_env(), name="shop", hooks=[PrometheusHooks()])


@app.post("/orders")
def order():
    try:
        result = client.produce(Record("orders", request.get_data())).get()
    except KlifeError as error:
        # Whoever sends a "possibly persisted" order again may order twice, so the answer must say it.
        return {"error": str(error), "possibly_persisted": getattr(error, "possibly_persisted", False)}, 503
    return {"partition": result.partition, "offset": result.offset}, 201


@app.get("/livez")
def livez():
    return "alive\n"  # with no broker there, too: a new process would not find one either


@app.get("/readyz")
def readyz():
    return f"{client.status().state}\n", 200 if client.healthy(max_silence_ms=MAX_SILENCE_MS) else 503


@app.get("/metrics")
def metrics():
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # of all workers, whichever is asked
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry), 200, {"Content-Type": CONTENT_TYPE_LATEST}
