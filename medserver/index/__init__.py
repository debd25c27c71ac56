"""The index: what the archive holds, and where. Start at `index.Index`.

Here are the schema (`migrations`, `models`, `columns`), the databases (`backend`, `sqlite`,
`postgresql`), the way in (`writer`, `additions`, `hierarchy`, `conflicts`) and the way out (`query`,
`translation`, `find`, `selection`), what is to be done later (`jobs`), and
what peers are promised (`commitments`). The files themselves are in the store; `medserver.archive` writes both.
"""

from medserver.index.database import drivers  # noqa: F401 - before whatever imports peewee
from medserver.index.audit.records import Chain, Counted, Repository, SealedRow, Transfer, Transferred
from medserver.index.audit.subjects import Subject
from medserver.index.objects.acquisitions import Acquisition
from medserver.index.callers import RejectedCall, UnknownCaller
from medserver.index.commitments.records import NewCommitment, StoredCommitment
from medserver.index.commitments.commitments import Commitments
from medserver.index.objects.conflicts import Conflict, Resolution
from medserver.index.database.opening import known_migrations, open_backend
from medserver.index.database.dump import DumpContent, Interrupted, Staged
from medserver.index.films.records import FilmChange, FilmRow, NewFilm
from medserver.index.index import Index, open_index
from medserver.index.jobs.records import (
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
from medserver.index.jobs.jobs import Jobs
from medserver.index.objects.forms import Form, Forms
from medserver.index.objects.promotions import Promotion
from medserver.index.performed_steps import Change, PerformedStep, PerformedSteps
from medserver.index.find.query import Query
from medserver.index.objects.records import (
    BAD,
    GOOD,
    UNNEEDED,
    Added,
    Counts,
    InstanceRecord,
    ObjectKey,
    StoredCopy,
    key_of_original,
)
from medserver.index.find.selection import Selection
from medserver.index.objects.tombstones import Tombstone
from medserver.index.objects.versions import ObjectVersion
from medserver.index.upkeep.records import Cursor, Tally, VolumeTally
from medserver.index.volumes import RecordedVolume
from medserver.index.workitems.records import NewWorkitem, Subscription, Workitem, WorkitemChange, WorkitemKeys

__all__ = [
    "BAD",
    "GOOD",
    "UNNEEDED",
    "HIGH",
    "LOW",
    "MEDIUM",
    "Acquisition",
    "Added",
    "Chain",
    "Change",
    "Commitments",
    "Conflict",
    "Counted",
    "Counts",
    "Cursor",
    "DumpContent",
    "FilmChange",
    "FilmRow",
    "Form",
    "Forms",
    "Index",
    "InstanceRecord",
    "Interrupted",
    "Job",
    "JobCount",
    "JobFilter",
    "Jobs",
    "Lane",
    "LaneState",
    "NewCommitment",
    "NewFilm",
    "NewJob",
    "NewWorkitem",
    "ObjectKey",
    "ObjectVersion",
    "PerformedStep",
    "PerformedSteps",
    "Promotion",
    "Query",
    "RecordedVolume",
    "RejectedCall",
    "Resolution",
    "Repository",
    "SealedRow",
    "Selection",
    "Staged",
    "StoredCommitment",
    "StoredCopy",
    "Subject",
    "Subscription",
    "Tally",
    "Tombstone",
    "Transfer",
    "Transferred",
    "UnknownCaller",
    "Verdict",
    "VolumeTally",
    "Workitem",
    "WorkitemChange",
    "WorkitemKeys",
    "key_of_original",
    "known_migrations",
    "open_backend",
    "open_index",
]
