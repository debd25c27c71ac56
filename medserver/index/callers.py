"""AEs that called and were not recognised: a bounded list, for the administrator to approve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import Query

from medserver.index.database.backend import Backend
from medserver.index.database.models import UnknownCallers as Callers
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement

CALLERS_MAX = 200
"""How many are kept; the one that was silent for longest goes first."""

_TRIMMED_MAX = 1000


@dataclass(frozen=True, slots=True)
class UnknownCaller:
    """An AE that is not in the configuration, or does not prove that it is the one there, and from where it called.

    Parameters
    ----------
    calling_ae_title, called_ae_title : str
        As it introduced itself, and whom it asked for.
    address : str
        Where the connection came from.
    attempts : int
        How often.
    first_seen_at, last_seen_at : datetime
        When.
    reason : str
        Why it was rejected the last time.
    fingerprint : str
        That of the certificate that it has shown; empty in the clear.
    certificate : str or None
        Its certificate, PEM; None in the clear, or where it is too long to be kept.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    reason: str = ""
    fingerprint: str = ""
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class RejectedCall:
    """A call that was rejected; the fields are those of `UnknownCaller`."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    reason: str = ""
    fingerprint: str = ""
    certificate: str | None = None


class UnknownCallers:
    """The table of unknown callers.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _upsert(self) -> Query:
        key = [Callers.calling_ae_title, Callers.called_ae_title, Callers.address, Callers.fingerprint]
        names = [column.name for column in key]
        call = insertion(Callers, (*names, "reason", "certificate", "first_seen_at", "last_seen_at"), attempts=1)
        return call.on_conflict(
            conflict_target=key,
            preserve=[Callers.last_seen_at, Callers.reason],
            update={Callers.attempts: Callers.attempts + 1},
        )

    @statement
    def _trim(self) -> Query:
        old = Callers.alias()
        latest = (old.last_seen_at.desc(), old.id.desc())
        others = old.select(old.id).order_by(*latest).limit(_TRIMMED_MAX).offset(PARAMETER)
        return Callers.delete().where(Callers.id.in_(others))

    @statement
    def _select(self) -> Query:
        names = (Callers.calling_ae_title, Callers.called_ae_title, Callers.address)
        shown = (Callers.reason, Callers.fingerprint, Callers.certificate)
        callers = Callers.select(*names, Callers.attempts, Callers.first_seen_at, Callers.last_seen_at, *shown)
        return callers.order_by(Callers.last_seen_at.desc(), Callers.id.desc()).limit(PARAMETER)

    def note(self, connection: Any, call: RejectedCall, at: datetime) -> None:
        """Note a call, and let the oldest go."""
        moment = to_text(at)
        texts = (call.calling_ae_title, call.called_ae_title, call.address, call.fingerprint, call.reason)
        names = [text.replace("\0", "").encode("utf-8", "replace").decode() for text in texts]
        connection.execute(self._upsert, (*names, call.certificate, moment, moment))
        connection.execute(self._trim, (CALLERS_MAX,))

    def all(self, connection: Any) -> list[UnknownCaller]:
        """Return all, the latest first."""
        return [
            UnknownCaller(*row[:4], from_text(row[4]), from_text(row[5]), *row[6:])
            for row in connection.execute(self._select, (CALLERS_MAX,)).fetchall()
        ]
