"""Answers to queries, and the selection of what is retrieved (PS3.4 C)."""
