"""Who a requestor is, and what it may do: records and pure checks. Start at `principal`.

What is known of users and tokens is kept by `medserver.accounts`, which asks here.
"""
