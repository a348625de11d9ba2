"""Errors of the test cluster, in a leaf module because every part of it raises them."""

from __future__ import annotations

from klife.errors import KlifeError


class ClusterError(KlifeError, RuntimeError):
    """The test cluster could not do what was asked; the text says what to do, and names the kept logs where
    there are any.
    """


class BackendUnavailable(ClusterError):
    """This way of running Kafka is not there on this machine; the text says what is missing."""


class NoSuchRelease(ClusterError):
    """No way of running Kafka has this version; the text names some that there are."""
