"""SASL mechanisms as pure exchanges: bytes in, bytes out. One file each; `mechanism` says what one is."""
