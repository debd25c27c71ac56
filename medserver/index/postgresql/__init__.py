"""The index on a server: PostgreSQL, through psycopg."""
