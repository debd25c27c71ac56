"""The index: what the archive holds, and where. Start at `index.Index`.

Here are the schema (`migrations`, `models`, `columns`), the databases (`backend`, `sqlite`,
`postgresql`), the way in (`writer`, `additions`, `hierarchy`, `conflicts`) and the way out (`query`,
`translation`, `find`, `selection`), and what is to be done later (`jobs`). The files themselves are in
the store; `medserver.archive` writes both.
"""

from medserver.index.callers import UnknownCaller
from medserver.index.conflicts import Conflict
from medserver.index.database import known_migrations, open_backend
from medserver.index.dump import DumpContent, Interrupted, Staged
from medserver.index.index import Index, open_index
from medserver.index.job_records import (
    HIGH,
    LOW,
    MEDIUM,
    Job,
    JobCount,
    JobFilter,
    Lane,
    LaneState,
    NewJob,
    Verdict,
)
from medserver.index.jobs import Jobs
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
from medserver.index.tombstones import Tombstone
from medserver.index.upkeep_records import Cursor, Tally, VolumeTally

__all__ = [
    "BAD",
    "GOOD",
    "HIGH",
    "LOW",
    "MEDIUM",
    "Added",
    "Conflict",
    "Counts",
    "Cursor",
    "DumpContent",
    "Duplicate",
    "Index",
    "InstanceRecord",
    "Interrupted",
    "Job",
    "JobCount",
    "JobFilter",
    "Jobs",
    "Lane",
    "LaneState",
    "NewJob",
    "Query",
    "Selection",
    "Staged",
    "StoredInstance",
    "StoredLocation",
    "Tally",
    "Tombstone",
    "UnknownCaller",
    "Verdict",
    "VolumeTally",
    "known_migrations",
    "open_backend",
    "open_index",
]
