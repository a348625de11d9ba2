"""All uses on one version of Kafka, in a process of its own: `python -m tests.versions.worker 2.4.1 [USE
...]`.

Prints a JSON object a line: of each use its name, its error or None, and its seconds. All else, klife's log
included, goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from time import monotonic

import gevent

from klife.testing.cluster import KafkaCluster
from tests.versions import uses_life, uses_records, uses_topics
from tests.versions.world import CONFIG, World

USES: list[Callable[[World], None]] = [*uses_records.USES, *uses_topics.USES, *uses_life.USES]
USE_SECONDS = 40.0


def run(world: World, use: Callable[[World], None]) -> str | None:
    """What was wrong, in a line, or None. It ends within that time and a second."""
    late = gevent.Timeout(USE_SECONDS)
    try:
        with late:
            use(world)
    except (Exception, gevent.Timeout) as error:
        traceback.print_exc()
        text = f"not done after {USE_SECONDS:g} s" if error is late else f"{type(error).__name__}: {error}"
        return text.splitlines()[0]
    return None


def main(version: str, *names: str) -> None:
    failed = False
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with KafkaCluster(3, version, config=CONFIG) as cluster:
        world = World(cluster)
        for use in USES:
            if not names or use.__name__ in names:
                began = monotonic()
                error = run(world, use)
                failed = failed or error is not None
                print(
                    json.dumps({"use": use.__name__, "error": error, "seconds": round(monotonic() - began, 1)}), file=told, flush=True
                )
        if failed:
            print(f"the logs of Kafka {version}'s brokers are kept in {cluster.keep_logs()}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
