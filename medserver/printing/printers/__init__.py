"""What takes pages and prints them: one module for each output, with the same four verbs. Start at `printer`."""
