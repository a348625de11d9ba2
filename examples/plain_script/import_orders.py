"""Produce each line of standard input: `python import_orders.py < orders.txt`. The exit status tells whether all of them
are in Kafka.
"""

import os
import signal
import sys

from klife import Client, KlifeError, Record


def main():
    failed = []

    def settled(record):
        if record.error is not None:
            unsure = "may be in Kafka" if record.error.possibly_persisted else "is not in Kafka"
            failed.append(f"{record.value.decode()} {unsure}: {record.error}")

    # A script runs no gevent hub, so the client brings its own.
    with Client.start(os.environ.get("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092"), run_in="thread") as client:
        client.wait_ready(30)  # a wrong address is told here, before anything was read
        lines = 0
        try:
            for line in sys.stdin:
                # Returns at once, and waits when 32 MiB (max_buffered_bytes) are on their way: so any size of file will do.
                client.produce_async(Record("orders", line.rstrip("\n").encode()), settled)
                lines += 1
        finally:  # also after Ctrl-C: the count tells where to go on
            report = client.stop(timeout=60)
            print(f"of {lines} lines {report.delivered} delivered, {report.failed} failed, {report.undelivered} not settled")
            for text in failed:
                print(text, file=sys.stderr)
    return 1 if report.failed or report.undelivered else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except KlifeError as error:  # no broker answered, or an order is too large
        sys.exit(str(error))
