"""What is told of accounts: who may do what has changed."""

from __future__ import annotations

from collections.abc import Callable

from medserver.audit import AuditRow, events, rows_of
from medserver.audit.codes import ROLES_CHANGED, SUCCESS, USER_ATTRIBUTES_CHANGED
from medserver.config import Config
from medserver.index import Index
from medserver.trail.recording import node_actor, source_of, this_process_actor


def teller(index: Index, config: Config) -> Callable[[str, bool], list[AuditRow]]:
    """Return what tells that this process, for the person who has started it, changes accounts (PS3.15 A.5.3.11)."""

    def tell(what: str, has_other_roles: bool) -> list[AuditRow]:
        ours = node_actor(config)
        event_type = ROLES_CHANGED if has_other_roles else USER_ATTRIBUTES_CHANGED
        alert = events.security_alert(
            ours, event_type, ours.address, what, outcome=SUCCESS, performers=[this_process_actor()]
        )
        return rows_of([alert], index.clock(), source_of(config))

    return tell
