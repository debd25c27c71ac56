"""Accounts of users, and tokens of machines. Start at `accounts`."""
