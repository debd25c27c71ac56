"""What is known to have been delivered, `Index.delivered`. It is noted with the end of a job, see `Jobs.settle`."""

from __future__ import annotations

from peewee import Query

from medserver.index.database.access import Access
from medserver.index.database.models import Delivered as Rows
from medserver.index.database.statements import PARAMETER, statement
from medserver.index.jobs.records import Delivered


class DeliveredObjects:
    """Tells which destinations have taken an instance.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _of(self) -> Query:
        columns = (Rows.sop_instance_uid, Rows.digest, Rows.destination, Rows.rule, Rows.is_committed)
        return Rows.select(*columns).where(Rows.sop_instance_uid == PARAMETER).order_by(Rows.destination, Rows.digest)

    def of(self, sop_instance_uid: str) -> list[Delivered]:
        """Return what was delivered of an instance: which objects to whom."""
        return [Delivered(*row[:4], bool(row[4])) for row in self._access.rows(self._of, (sop_instance_uid,))]
