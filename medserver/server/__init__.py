"""The running node: one supervisor, the processes that accept associations, and those that perform jobs.

`supervisor` starts, watches and stops the others; `acceptor_process`, `placer_process` and `worker_process` are what
they do. They share the index and the volumes; the acceptors share the listening socket too, and a table of who is
connected. A worker can also run alone, on any machine that has index and volumes.
"""

from medserver.server.supervisor import serve
from medserver.server.worker_process import work

__all__ = ["serve", "work"]
