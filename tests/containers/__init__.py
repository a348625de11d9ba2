"""Brokers in containers, on a real engine: `make containers`. No part of `make test`, since few machines of
tests have an engine.
"""
