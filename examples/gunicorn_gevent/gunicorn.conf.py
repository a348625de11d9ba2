"""gunicorn reads this file by itself when it is started in this folder."""

import os

worker_class = "gevent"
workers = 2
graceful_timeout = 30  # seconds from the signal until gunicorn kills a worker that still runs

# A request waits at most 5 s to hand over its record and 20 s for its outcome. A worker notices the signal, and that its requests
# have ended, a second late each. So all is settled, and a loss reported, 27 s after the signal: in time, even with no broker there.
os.environ.setdefault("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092")
os.environ.setdefault("KLIFE_MAX_BLOCK_MS", "5000")
os.environ.setdefault("KLIFE_DELIVERY_TIMEOUT_MS", "20000")


def worker_exit(server, worker):
    """However a worker ends (SIGTERM, SIGINT, --max-requests): deliver what it has accepted, and say what became of it."""
    if worker.pid != os.getpid():  # gunicorn calls this in the master, too, for a worker that has vanished
        return
    from app import client

    report = client.stop(timeout=25)
    say = worker.log.error if report.failed or report.undelivered else worker.log.info
    say("klife: %s", report)
