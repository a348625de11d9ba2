"""Which names Kafka allows for topics (org.apache.kafka.common.internals.Topic): the one rule for options and
for records.
"""

from __future__ import annotations

import re

_LEGAL = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def is_legal_topic(name: str) -> bool:
    """Whether `name` is 1 to 249 of the allowed characters, and neither "." nor ".."."""
    return _LEGAL.fullmatch(name) is not None and name not in (".", "..")
