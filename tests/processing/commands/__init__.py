"""Types of processing that are external programs."""
