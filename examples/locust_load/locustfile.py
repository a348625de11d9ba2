"""A load on Kafka by Locust, which shows rates, latencies and failures of records as it does of HTTP requests."""

import os
from time import perf_counter

from locust import User, constant_pacing, events, task

from klife import Client, KlifeError, Record

SERVERS = os.environ.get("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092")

# Locust runs a gevent hub, and patches before this is imported: so the client is at home, and all users share it, its connections
# and its batches. With --processes each process that Locust forks gets a client of its own.
client = Client.start(SERVERS, name="locust")


class Customer(User):
    wait_time = constant_pacing(0.1)  # seconds from one order to the next, so each user has at most ten a second

    @task
    def order(self):
        value = os.urandom(200)
        failure = None
        began = perf_counter()
        try:
            client.produce(Record("orders", value)).get()
        except KlifeError as error:
            failure = error
        self.environment.events.request.fire(
            request_type="Kafka",
            name="orders",
            response_time=(perf_counter() - began) * 1000,
            response_length=len(value),
            exception=failure,
            context={},
        )


# A user who is stopped while it waits has sent its record, and Locust counts what was answered. So there may be a few more
# records than requests.
@events.quit.add_listener
def stop(**_):
    print(client.stop(timeout=10))
