"""Kafka's requests and responses, one module an API, named as in Kafka's own definitions."""
