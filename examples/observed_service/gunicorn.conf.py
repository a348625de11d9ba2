"""gunicorn reads this file by itself when it is started in this folder."""

import os
import shutil
import tempfile

worker_class = "gevent"
graceful_timeout = 30  # seconds from the signal until gunicorn kills a worker that still runs

# 5 s to hand a record over and 20 s for its outcome: within graceful_timeout, whatever the brokers do.
os.environ.setdefault("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092")
os.environ.setdefault("KLIFE_MAX_BLOCK_MS", "5000")
os.environ.setdefault("KLIFE_DELIVERY_TIMEOUT_MS", "20000")

# Where the workers count together: empty at the start, and known before the application imports prometheus_client.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="shop-metrics-"))


def on_exit(server):
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def child_exit(server, worker):
    """In the master, of a worker that has ended: what it counted stays, what it measured goes."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def worker_exit(server, worker):
    """However a worker ends: deliver what it has accepted, and say what became of it."""
    if worker.pid != os.getpid():  # gunicorn calls this in the master, too, for a worker that has vanished
        return
    from app import client

    worker.log.info("klife: %s", client.stop(timeout=25))
