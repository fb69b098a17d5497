"""YAML documents, the line of every value, mistakes told as a person would, and the scalar types of files."""
