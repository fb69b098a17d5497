"""JSON Schemas (draft 2020-12) of every kind of file that is read or written."""
