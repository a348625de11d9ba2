"""The batching engine.

Its compiled modules (klife/core.py) need each other's types, in a circle, before their own code runs. That works out if this one is
the first, whichever was asked for.
"""

import klife.actors.producer.accumulator  # noqa: F401
