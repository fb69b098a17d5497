"""The live page: a run, or a country that is steered, in a browser. What it shows is the report's, as it fills up."""
