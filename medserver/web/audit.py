"""What the audit trail tells of HTTP: what was sought, sent, seen and stored, and by whom.

What is stored is counted as that of an association is. Viewers fetch frames and metadata in hundreds of requests: that
somebody looks at a study is told once in a while, not each time.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from medserver import trail
from medserver.audit import Actor, events
from medserver.audit.codes import NODE_AUTHENTICATION, RESTRICTED_FUNCTION, SERIOUS_FAILURE, SUCCESS
from medserver.config import Config
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, STUDY_ROOT_FIND
from medserver.identity.principal import Principal
from medserver.index import Selection
from medserver.node import Node
from medserver.trail.associations import Carried
from medserver.trail.refusals import refusals
from medserver.trail.subjects import by_patient, subject_of_step
from medserver.web.request import Request

ACCESS_TOLD_EVERY_S = 600.0
"""How often it is told that the same user looks at the same study."""

ACCESSES_MAX = 10_000

_requests = itertools.count(1)


def actor_of(principal: Principal, config: Config) -> Actor:
    """Return who has sent a request: a user or a machine, by the name of its account."""
    user = principal.user.name if principal.user is not None else ""
    # PS3.15 A.5.2.1: loginName@domain-name
    return Actor(address=principal.address, user=user if "@" in user else f"{user}@{config.node.ae_title}")


def carried_by(request: Request, node: Node) -> Carried:
    """Return what counts the instances of a payload."""
    return Carried(node, f"http-{next(_requests)}", actor_of(request.principal, request.config))


def tell_search(request: Request, node: Node, identifier: bytes, sop_class_uid: str = STUDY_ROOT_FIND) -> None:
    """Record a search (PS3.15 A.5.3.10), whose parameters are told as the identifier of a query.

    Raises
    ------
    OutOfResources
        It cannot be recorded, and must be.
    """
    who, ours = actor_of(request.principal, request.config), trail.node_actor(request.config)
    trail.record(node, [events.query(who, ours, sop_class_uid, identifier, EXPLICIT_VR_LITTLE_ENDIAN)])


def tell_step(request: Request, node: Node, sop_instance_uid: str, content: Mapping[str, Any]) -> None:
    """Record that a work item was read (PS3.15 A.5.3.15).

    Raises
    ------
    OutOfResources
        It cannot be recorded, and must be.
    """
    patient, studies = subject_of_step(sop_instance_uid, content)
    who = actor_of(request.principal, request.config)
    trail.record(node, [events.procedure_record(who, "R", patient, studies)])


class Sending:
    """Records that instances are sent: before the first one, and at the end (PS3.15 A.5.3.3, A.5.3.7).

    Parameters
    ----------
    request : Request
        Who asks.
    node : Node
        This node.
    selection : Selection
        What is sent.

    Raises
    ------
    OutOfResources
        It cannot be recorded, and must be.
    """

    def __init__(self, request: Request, node: Node, selection: Selection) -> None:
        self._node = node
        who = actor_of(request.principal, request.config)
        self._parties = trail.node_actor(request.config), who, who
        self._subjects = list(by_patient(selection.subjects()))
        source, destination, requestor = self._parties
        begun = [events.begin_transferring(source, destination, *each, requestor) for each in self._subjects]
        trail.record(node, begun)

    def body(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what is sent, and record how that ended."""
        outcome = SERIOUS_FAILURE
        try:
            yield from pieces
            outcome = SUCCESS
        finally:
            pieces.close()
            description = "" if outcome == SUCCESS else "not all of it was sent"
            source, destination, requestor = self._parties
            trail.record(self._node, [
                events.instances_transferred(
                    source, destination, *each, requestor, outcome=outcome, description=description
                )
                for each in self._subjects
            ])  # fmt: skip


class Accesses:
    """Records who looks at which study (PS3.15 A.5.3.6). May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[tuple[Actor, str], float] = {}

    def tell(self, request: Request, node: Node, selection: Selection) -> None:
        """Record it, if it was not recorded a short time ago.

        Raises
        ------
        OutOfResources
            It cannot be recorded, and must be.
        """
        who = actor_of(request.principal, request.config)
        if not self._is_new((who, request.path.get("study", ""))):
            return
        found = by_patient(selection.subjects())
        trail.record(node, [events.instances_accessed(who, "R", patient, studies) for patient, studies in found])

    def _is_new(self, key: tuple[Actor, str]) -> bool:
        now = time.monotonic()
        with self._lock:
            told_at = self._told.get(key)
            if told_at is not None and now - told_at < ACCESS_TOLD_EVERY_S:
                return False
            if len(self._told) >= ACCESSES_MAX:
                self._told.clear()
            self._told[key] = now
            return True


accesses = Accesses()
"""Those of this process."""


def tell_refused(node: Node, address: str, why: str) -> None:
    """Record that somebody was not let in; often-repeated ones together."""
    refusals.note(node, Actor(address=address), NODE_AUTHENTICATION, f"HTTP request refused: {why}")


def tell_restricted(node: Node, principal: Principal, config: Config, what: str, why: str) -> None:
    """Record that somebody has asked for what it may not do; often-repeated ones together."""
    refusals.note(node, actor_of(principal, config), RESTRICTED_FUNCTION, f"{what}: {why}")
