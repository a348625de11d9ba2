"""Kafka's wire protocol, sans-IO: bytes and values in, bytes and values out.

No gevent, socket, clock, thread or logging in here, so every part can be tested with plain values and used
under any concurrency library. Importing the package imports nothing; take what you need from its modules.
"""
