"""The rows of jobs: what is to be done later, and what came of it."""
