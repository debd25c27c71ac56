"""Backups of the index: made while the node runs, kept on a volume, brought back and completed from the store.

Start with `creation`; `catalog` finds what there is, `verification` reads it, `retention` removes the oldest.
`restoring` brings one back, and `replay` enters what the volumes have got since. `schedule` has backups made
periodically. The dumps themselves are made by the databases, in `medserver.index`.

The store is the truth: without any backup the index can be made anew from the volumes (`medserver.archive.rebuild`). A
backup brings it back quicker, and with it what no volume knows: jobs, and when each copy was verified.
"""
