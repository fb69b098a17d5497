"""YAML documents with the line of every value, readable messages about mistakes, and the scalar types of files."""
