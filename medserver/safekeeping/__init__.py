"""Objects stay what they are, for years: the jobs that copy, verify, repair and delete them, and what is known of that.

Start with `replication` (a copy on every volume), `verification` (every copy is read again and again) and `repair` (a
bad copy becomes a good one). `seeking` finds what lacks a copy, `schedule` has all of this done periodically.
`pixels` proves what was compressed. `deletion` and `draining` are the only ways to take objects away. `status` says how
things are. Single copies are made in `medserver.archive`, the rows are in `medserver.index`.
"""
