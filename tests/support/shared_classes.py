"""`python -m tests.support.shared_classes`: write the file that brokers map, if it is not there
(`klife.testing.shared_classes`). By itself klife waits until that pays; the tests start forty brokers.
"""

from __future__ import annotations

from klife.testing.cluster_jars import JarsBackend
from klife.testing.jars import DEFAULT_VERSION
from klife.testing.java import find_java
from klife.testing.shared_classes import write

if __name__ == "__main__":
    write(find_java(), DEFAULT_VERSION, JarsBackend)
