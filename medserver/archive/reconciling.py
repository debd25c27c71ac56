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

from medserver.archive.findings import Finding
from medserver.archive.adoption import adopt
from medserver.archive.follow_ups import route_job_of
from medserver.archive.receipts import records_in_order
from medserver.node import Node
from medserver.store import Volume, paths

# The path has the minute of sealing, and the row is made within moments. The margin is for a reception that
# was held up, and for a clock that was set back meanwhile.
_MARGIN = timedelta(hours=2)

logger = logging.getLogger(__name__)


@dataclass
class Reconciliation:
    """What a start found.

    Parameters
    ----------
    swept : int
        Unfinished files of dead processes, removed.
    adopted : int
        Objects that got their row now.
    surplus : int
        Files that nobody needs: of objects that were refused or deleted on purpose, or that are stored already under
        another path. They stay: ``index check`` tells of them.
    findings : list of Finding
        Objects that cannot be adopted. They are left where they are.
    """

    swept: int = 0
    adopted: int = 0
    surplus: int = 0
    findings: list[Finding] = field(default_factory=list)


def reconcile(node: Node) -> Reconciliation:
    """Bring the primary volume and the index together after a crash; quick if there was none.

    Only what was sealed since two hours before the last rows is looked at; all, if there is no row. `check`
    always looks at all. Other volumes need not be there: what was being copied to them is copied again.

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
    done.swept += volume.sweep()
    _adopt(node, volume, done)
    if done != Reconciliation():
        logger.warning(
            "reconciliation: %d unfinished files removed, %d objects adopted, %d surplus, %d left alone",
            done.swept, done.adopted, done.surplus, len(done.findings),
        )  # fmt: skip
    return done


def _adopt(node: Node, volume: Volume, done: Reconciliation) -> None:
    recent = node.index.recent_location(volume.name)
    after = paths.minute_directory(paths.sealed_minute(recent) - _MARGIN) if recent else None

    def report(finding: Finding) -> None:
        logger.error("not adopted: %s", finding)
        done.findings.append(finding)

    # Without any row this is the whole store: its digests are then believed, or a start would take as long as
    # reading it.
    verify = recent is not None
    walks = [(volume, _without_row(node, volume, after))]
    for record in records_in_order(walks, verify=verify, report=report):
        # Its sender has had no success and sends it again; that will be the same, and nothing follows from it any more.
        routed = [route_job_of(record)] if recent is not None and node.config.current.routes else []
        compress_to = node.config.current.compress_to_of(record.calling_ae_title or "") if recent is not None else ""
        added = adopt(node, record, routed=routed, compress_to=compress_to)
        if added is not None and added.file_needed:
            done.adopted += 1
        else:
            done.surplus += 1
        outcome = "deleted on purpose" if added is None else added.outcome
        logger.info("adopted %s:%s outcome=%s", volume.name, record.path, outcome)


def _without_row(node: Node, volume: Volume, after: str | None) -> Iterator[str]:
    return (path for path in volume.walk(after) if not node.index.has_location(volume.name, path))
