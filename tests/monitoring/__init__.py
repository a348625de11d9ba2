"""A real Prometheus: `make monitoring`. No part of `make test`, since few machines of tests have one."""
