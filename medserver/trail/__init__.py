"""The audit trail (PS3.15 A.5): events become rows, rows are sealed, sealed rows are sent to repositories and pruned.

`recording` is what operations call; `associations` sums up what an association has carried; `keeping` is the thread of
each worker of which one, in the whole installation, seals, sends and prunes; `verification` reads the chain. What a
message is stands in `medserver.audit`, the rows in `medserver.index.audit`.
"""

from medserver.trail.recording import node_actor, record, rows, this_process_actor

__all__ = ["node_actor", "record", "rows", "this_process_actor"]
