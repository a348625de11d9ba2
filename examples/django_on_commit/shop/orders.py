"""Orders are rows first, and records once their rows are committed."""

import atexit

from django.conf import settings
from django.db import transaction

from klife import Client, Record

from .models import Order

client = Client.start(settings.KLIFE)
atexit.register(client.stop)


class SoldOut(Exception):
    pass


def place(what):
    with transaction.atomic():
        order = Order.objects.create(what=what)
        # Not before the commit: a record can not be rolled back. `robust`: the order stands, so an error of Kafka's is logged by
        # Django, and is no error of the request.
        transaction.on_commit(lambda: publish(order), robust=True)
        if what == "cake":
            raise SoldOut(what)
    return order


def publish(order):
    """Return when the order is in the log. If this raises it may be there all the same (`possibly_persisted`), and its row says
    that it is to be published again. So consumers know an order by its key, and skip one that they have seen.
    """
    client.produce(Record("orders", order.what.encode(), key=b"%d" % order.pk)).get()
    Order.objects.filter(pk=order.pk).update(published=True)


def publish_the_rest():
    """What was committed and not published, since Kafka or the process was away; how many there were."""
    count = 0
    for order in Order.objects.filter(published=False).order_by("pk"):
        publish(order)
        count += 1
    return count
