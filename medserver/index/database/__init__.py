"""The database behind the index: connections, transactions, the schema and its migrations."""
