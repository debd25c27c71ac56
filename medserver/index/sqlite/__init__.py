"""The index in a file: SQLite, through apsw."""
