"""Benchmarks of klife against the other Kafka clients of Python. `python -m bench --help`; what is measured
and how: README.md.
"""
