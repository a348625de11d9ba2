"""A task that produces, in Celery's prefork, gevent and threads pools."""

import os
import tempfile
from pathlib import Path

from celery import Celery
from celery.signals import worker_process_shutdown, worker_shutdown
from gevent.monkey import is_module_patched

from klife import Client, ProduceError, Record

# Files in a folder, so that this example needs no broker of tasks. In earnest: Celery("shop", broker="redis://...").
folder = Path(os.environ.get("SHOP_TASKS", tempfile.gettempdir() + "/shop-tasks"))
folder.mkdir(exist_ok=True)
app = Celery("shop", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder / "control"}

# Made at the import, in the parent of the prefork pool too: each child gets a client of its own, at its first record. Celery has
# patched by then if its pool is gevent's, and only then is there a hub for the client to live in.
client = Client.start(
    os.environ.get("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092"),
    name="shop",
    run_in="home" if is_module_patched("threading") else "thread",
    delivery_timeout_ms=20_000,  # less than what a task may take
)


# Acknowledged when it has ended: a task whose worker was killed is done again, and its record may then be there twice, as after
# a retry. Its key tells consumers.
@app.task(bind=True, acks_late=True, max_retries=5)
def ship(self, order):
    try:
        client.produce(Record("shipments", b"shipped", key=b"%d" % order)).get()
    except ProduceError as error:
        if error.retriable or error.possibly_persisted:  # brokers away, for example
            raise self.retry(exc=error, countdown=2**self.request.retries) from error
        raise  # it will be refused again: Celery notes the failure
    client.produce_async(Record("statistics", b"one more"))  # nobody waits for this one


# A prefork child ends without Python's `atexit`, so what nobody waited for is delivered here.
@worker_process_shutdown.connect
@worker_shutdown.connect
def stop(**_):
    print(client.stop(timeout=10), flush=True)
