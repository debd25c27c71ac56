"""The index: what the archive holds, and where. Start at `index.Index`.

Here are the schema (`migrations`, `models`, `columns`), the databases (`backend`, `sqlite`,
`postgresql`), the way in (`writer`, `additions`, `hierarchy`, `conflicts`) and the way out (`query`,
`translation`, `find`, `selection`). The files themselves are in the store; `medserver.archive` writes
both.
"""

from medserver.index.callers import UnknownCaller
from medserver.index.conflicts import Conflict
from medserver.index.index import Index, open_index
from medserver.index.query import Query
from medserver.index.records import (
    BAD,
    GOOD,
    Added,
    Counts,
    Duplicate,
    InstanceRecord,
    StoredInstance,
    StoredLocation,
)
from medserver.index.selection import Selection

__all__ = [
    "BAD",
    "GOOD",
    "Added",
    "Conflict",
    "Counts",
    "Duplicate",
    "Index",
    "InstanceRecord",
    "Query",
    "Selection",
    "StoredInstance",
    "StoredLocation",
    "UnknownCaller",
    "open_index",
]
