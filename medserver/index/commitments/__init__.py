"""The rows of storage commitment (PS3.4 J)."""
