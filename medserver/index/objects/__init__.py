"""The rows of what is stored: patients down to instances, their objects, and where those lie."""
