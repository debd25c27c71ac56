"""What a start does first: remove what was never finished, adopt what was stored but not entered.

A process that is killed between the file and the row leaves an object that nobody was told about. It is
complete, for a file has its path only after its bytes are flushed; so it is entered as if the reception went
on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from medserver.archive.adoption import adopt
from medserver.archive.decisions import in_order, load_promotions, load_resolutions
from medserver.archive.findings import Finding
from medserver.archive.follow_ups import route_job_of
from medserver.archive.performed_steps import load_steps
from medserver.archive.promotion import enter_promotion
from medserver.archive.receipts import records_in_order
from medserver.archive.surplus import removal_jobs_of_surplus
from medserver.archive.tombstones import load_tombstones
from medserver.index import UNNEEDED, Added, InstanceRecord, Promotion
from medserver.node import Node
from medserver.store import Volume, paths

# The path has the minute of sealing, and the row is made within moments. The margin is for a reception that
# was held up, and for a clock that was set back meanwhile.
_MARGIN = timedelta(hours=2)

_WHOLE_STORE = "adopt:whole store"
"""Progress: set while the index has no rows but those that a start makes of all that is stored."""

logger = logging.getLogger(__name__)


@dataclass
class Reconciliation:
    """What a start found.

    Parameters
    ----------
    unfinished : int
        Unfinished files of dead processes, removed.
    adopted : int
        Objects that got their row now.
    surplus : int
        Files that nobody needs: of objects that were refused or deleted on purpose, or that are stored already under
        another path. Jobs remove them, and look once more before.
    findings : list of Finding
        Objects that cannot be adopted. They are left where they are.
    """

    unfinished: int = 0
    adopted: int = 0
    surplus: int = 0
    findings: list[Finding] = field(default_factory=list)


def reconcile(node: Node) -> Reconciliation:
    """Bring the primary volume and the index together after a crash; quick if there was none.

    Only what was sealed since two hours before the last rows, or before now if they are ahead of the clock, is looked
    at; all, if there is no row. `check` always looks at all. Other volumes need not be there: what was being copied to
    them is copied again.

    Parameters
    ----------
    node : Node
        Not yet receiving, though other processes of the same node may be.

    Raises
    ------
    StoreFailure, IndexFailure, OutOfResources
        The primary volume or the index does not work: the node should not start.
    """
    done = Reconciliation()
    volume = node.primary_volume
    done.unfinished += volume.remove_unfinished()
    _adopt(node, volume, done)
    if done != Reconciliation():
        logger.warning(
            "reconciliation: %d unfinished files removed, %d objects adopted, %d surplus, %d left alone",
            done.unfinished, done.adopted, done.surplus, len(done.findings),
        )  # fmt: skip
    return done


def _adopt(node: Node, volume: Volume, done: Reconciliation) -> None:
    is_begun = node.index.progress.get(_WHOLE_STORE) is not None
    recent = None if is_begun else node.index.recent_location(volume.name)
    # What was entered last may have been sealed by a clock that was ahead, and the rest after it was corrected.
    after = paths.minute_directory(min(paths.sealed_minute(recent), node.clock()) - _MARGIN) if recent else None

    def report(finding: Finding) -> None:
        logger.error("not adopted: %s", finding)
        done.findings.append(finding)

    # Without any row this is the whole store: its digests are then believed, or a start would take as long as
    # reading it; and the index is lost, with all that is noted beside the objects. Not where all was deleted.
    is_new = is_begun or (recent is None and not node.index.tombstones.last())
    if is_new:
        node.index.progress.set(_WHOLE_STORE, "begun")  # who goes on after an interruption must not route the rest
        load_tombstones(node)
        load_steps(node)
    walks = [(volume, _without_row(node, volume, after))]
    records = records_in_order(walks, verify=not is_new, report=report)
    for record in in_order(load_promotions(node, [volume]), records):
        if isinstance(record, Promotion):
            for finding in enter_promotion(node, record):
                report(finding)
        else:
            _enter(node, volume, record, done, is_new=is_new)
    load_resolutions(node, [volume])
    if is_new:
        node.index.progress.set(_WHOLE_STORE, None)


def _enter(node: Node, volume: Volume, record: InstanceRecord, done: Reconciliation, *, is_new: bool) -> None:
    # Its sender has had no success and sends it again; that will be the same, and nothing follows from it any more.
    routed = [] if is_new or not node.config.current.rules else [route_job_of(record)]
    compress_to = "" if is_new else node.config.current.compress_to_of(record.calling_ae_title or "")
    if not is_new and node.index.tombstones.is_made_from_deleted(record):
        # A form that had been entered has a row: no power cut takes that, for the tombstone was flushed behind it.
        added = Added("deleted", file=UNNEEDED)
    else:
        added = adopt(node, record, routed=routed, compress_to=compress_to)
    if added.file_needed:
        done.adopted += 1
    else:
        done.surplus += 1
        node.index.add_jobs(removal_jobs_of_surplus(node, volume, record.path))
    logger.info("adopted %s:%s outcome=%s", record.volume, record.path, added.outcome)


def _without_row(node: Node, volume: Volume, after: str | None) -> Iterator[str]:
    return (path for path in volume.walk(after) if not node.index.has_location(volume.name, path))
