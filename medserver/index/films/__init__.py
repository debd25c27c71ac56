"""Films that are to be printed, or were. Start at `films`."""
