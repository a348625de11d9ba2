"""What a user does with a producer, on every Kafka that klife is said to work with: `python -m
tests.versions`, or `make versions`.

`uses_*.py` are the uses, `world.py` what they share; `worker.py` runs them on one version, in a process of
its own; `__main__.py` does so for each version, and `table.py` writes what came out into a page.
"""
