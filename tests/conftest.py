"""For all tests: pytest's own test tool, with which the tests of klife's pytest plugin run suites of their own."""

pytest_plugins = ["pytester"]
