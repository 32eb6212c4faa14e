"""The examples are suites of their own; `tests/test_examples.py` runs them as their readers would."""

collect_ignore_glob = ["*"]
