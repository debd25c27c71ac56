"""Section 5.2.6: storage commitment."""

from __future__ import annotations

from medserver.commitment.plan import OFFER_S
from medserver.commitment.retention import KEPT_DAYS
from medserver.commitment.safety import REASONS
from medserver.conformance.configuration import default_of
from medserver.conformance.document import Section, Table
from medserver.conformance.roles import sop_classes_table
from medserver.dicom import status
from medserver.services.registry import SERVICES

SCU = (
    "``medserver commit`` asks an archive whether it commits to instances that the node, or a folder, holds: any SOP "
    "class, at most 10000 instances a request. Storage Media File-Set ID and UID are not sent. The report is taken on "
    "the same association while the command waits, or on one that the archive opens to the node with the role of the "
    "SCP. Nothing follows from a report but that it is shown: no instance is ever deleted because of it.",
    "A report is answered with 0000 when it is written down, 0113 if its event type is neither 1 nor 2, 0112 if it is "
    "not from the well-known instance, and 0115 if it cannot be read or its Transaction UID is not that of a request "
    "of the node to this AE.",
)

SCP = (
    "An N-ACTION is answered with 0000 when the request is committed to the database. The same request again (AE "
    "title, Transaction UID, instances) is answered with 0000. Before its report it is not performed twice: there is "
    "one report, on the association of the later request if that waits for it. After its report has been acknowledged "
    "or given up it is performed and reported again, as of then. Other instances under the same Transaction UID are "
    "reported as failed (0131). Storage Media File-Set ID and UID of a request are ignored.",
    "Then every instance is read from the disk to its end and compared with the SHA-256 that it came with, on as many "
    f"copies as ``commitment_copies`` says ({default_of('store', 'commitment_copies')} by default). Storage commitment "
    "is given for what was found intact: it is kept at level 2 (full), without limit of time, until an administrator "
    "deletes it.",
    "The report has event type 1 if all instances are safe, else 2, and names every instance of the request. Retrieve "
    "AE Title is the AE title of the node, once, outside of the sequence. It goes out as soon as all instances have "
    f"been read: on the association of the request if that is idle within {OFFER_S:.0f} s, else on a new one to the "
    "address of the entry of the AE, on which the node proposes to be the SCP. A peer that accepts the context without "
    "an answer about roles is reported to as well. A report that is not answered with 0000 is sent again on a new "
    "association, after 2 s at first and every half hour in the end, for three days; then an administrator has to look "
    "after it. It may come a second time if the node dies at the very moment of the acknowledgement.",
    f"Transactions are remembered for {KEPT_DAYS} days after their report.",
)


def commitment_section() -> Section:
    """Return section 5.2.6."""
    [service] = [one for one in SERVICES if one.right == "commit"]
    return Section(
        "5.2.6",
        "Storage Commitment Service",
        (sop_classes_table("SOP classes of Storage Commitment", service),),
        (
            Section("5.2.6.1", "SCU of the Storage Commitment SOP Class", SCU),
            Section("5.2.6.2", "SCP of the Storage Commitment SOP Class", (*SCP, _reasons_table())),
        ),
    )


def _reasons_table() -> Table:
    rows = tuple((f"{code:04X}", status.describe(code).partition(" ")[2], when) for code, when in REASONS.items())
    return Table("Failure Reasons", ("Code", "Meaning", "When"), rows)
