"""OAUTHBEARER (RFC 7628), with Kafka's SASL extensions (KIP-342)."""
