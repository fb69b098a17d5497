"""The scenarios here are bad on purpose: they are no test files of the pytest plugin's."""

collect_ignore_glob = ["*.yaml", "*.yml"]
