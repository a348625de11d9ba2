"""Is all of it there? What the client said about its records, compared with what is in the logs.

Pure: it takes both sides as values, and says in words what does not fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from klife.cli.demo_load import Place, number_in
from klife.errors import ProduceError
from klife.record import Record

MISSING = "were confirmed and are not in the log"
FAILED = "could not be delivered"
ALTERED = "are not as they were sent"
UNEXPECTED = "are in the log although nobody was told so"
TWICE = "are in the log more than once"
ELSEWHERE = "are at another place than the client said"
OUT_OF_ORDER = "come after a record that was produced later"


def compare(
    queued: Sequence[int], places: Mapping[int, Place], failures: Mapping[int, ProduceError], logs: Iterable[Record]
) -> Counter[str]:
    """How many records have which problem; empty when every record is in the logs once, where the client said, and in order.

    `queued` are the numbers of the records in the order the client took them, `logs` all records of the topics, each partition's by
    offset. A record whose delivery failed with its fate unknown (`possibly_persisted`) may be there or not.
    """
    ranks = {number: rank for rank, number in enumerate(queued)}
    problems: Counter[str] = Counter()
    seen: set[int] = set()
    last: dict[tuple[str, int | None], int] = {}
    for record in logs:
        number = number_in(record)
        if number is None:
            problems[ALTERED] += 1
            continue
        if number in seen:
            problems[TWICE] += 1
            continue
        seen.add(number)
        place = places.get(number)
        if place is None:
            failure = failures.get(number)
            if failure is None or not failure.possibly_persisted:
                problems[UNEXPECTED] += 1
        elif place != (record.topic, record.partition, record.offset):
            problems[ELSEWHERE] += 1
        log = record.topic, record.partition
        rank = ranks.get(number, last.get(log, 0))
        if rank < last.get(log, 0):
            problems[OUT_OF_ORDER] += 1
        last[log] = rank
    problems[MISSING] = len(places.keys() - seen)
    problems[FAILED] = len(failures)
    return +problems
