"""The running node: one supervisor, and the processes that accept associations.

`supervisor` starts, watches and stops the others and places what they receive; `acceptor_process` is what each of
them does. They share the listening socket, the index, the volumes, and a table of who is connected.
"""

from medserver.server.supervisor import serve

__all__ = ["serve"]
