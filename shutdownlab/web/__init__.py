"""The live page: a run, or a steered country, in a browser. It shows the report's contents as they accumulate."""
