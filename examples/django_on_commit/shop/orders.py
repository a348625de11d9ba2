"""Orders are rows first, and records once their rows are committed."""

import atexit
from functools import partial

from django.conf import settings
from django.db import transaction

from klife import Client, Record

from .models import Order

# `runserver` and most WSGI servers run threads, which have no gevent hub. Under `gunicorn -k gevent` leave run_in out.
client = Client.start(settings.KAFKA, name="shop", run_in="thread", delivery_timeout_ms=10_000)
atexit.register(client.stop)


def place(what):
    with transaction.atomic():
        order = Order.objects.create(what=what)
        # Not before the commit: a record can not be rolled back. `robust`: the order stands, so an error of Kafka's is logged by
        # Django, and is no error of the request.
        transaction.on_commit(partial(publish, order), robust=True)
    return order


def publish(order):
    """Returns when the order is in the log. If this raises it may be there all the same (`possibly_persisted`), and its row says
    that it is to be published again. So consumers know an order by its key, and skip one that they have seen.
    """
    client.produce(Record("orders", order.what.encode(), key=b"%d" % order.pk)).get()
    Order.objects.filter(pk=order.pk).update(published=True)


def publish_the_rest():
    """Run this every minute: what was committed and not published, since Kafka or this process was away."""
    for order in Order.objects.filter(published=False).order_by("pk"):
        publish(order)
