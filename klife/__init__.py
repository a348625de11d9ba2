"""Klife: a Kafka client for greenlet-based Python services."""
