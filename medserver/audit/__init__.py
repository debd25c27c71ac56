"""What an audit message is (PS3.15 A.5): records, the table of kinds, XML, transport. Nothing is stored here.

Start at `kinds`: what there is to tell. `events` makes the records, `message` the XML of A.5.1, `chain` what makes a
row of the trail depend on all before it, `syslog` the frames of A.6 and A.7. Rows are in `medserver.index.audit`, who
writes, seals and sends them is `medserver.trail`.
"""

from medserver.audit.actor import Actor, Participant
from medserver.audit.codes import Code
from medserver.audit.events import AuditEvent, AuditObject
from medserver.audit.kinds import KINDS, Kind
from medserver.audit.rows import AuditRow, Source, rows_of

__all__ = [
    "KINDS",
    "Actor",
    "AuditEvent",
    "AuditObject",
    "AuditRow",
    "Code",
    "Kind",
    "Participant",
    "Source",
    "rows_of",
]
