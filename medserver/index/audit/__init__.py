"""The rows of the audit trail. Start at `trail`."""
