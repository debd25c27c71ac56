"""The messages that tell workers of new jobs, carried by Huey: on the index's database, or on Redis.

A message says that a lane has new jobs, and nothing else: the rows say which. So a message that is lost costs at most
the time until the next sweep of a worker, and one that comes twice costs a look.
"""

from medserver.queue.queue import Queue, open_queue

__all__ = ["Queue", "open_queue"]
