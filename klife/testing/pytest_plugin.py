"""The pytest plugin: fixtures a user's own suite can use."""
