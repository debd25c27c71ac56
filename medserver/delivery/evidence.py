"""Is a study complete? What says so: performed procedure steps, a request for storage commitment, the end of the
association, or the number of instances that the sender has."""

from __future__ import annotations

import logging
from datetime import datetime

from pydicom.dataset import Dataset

from medserver.config import Remote, Rule
from medserver.destinations import session_with, standing_of
from medserver.dicom import uids
from medserver.dicom.conditions import SingleValue
from medserver.errors import MedserverError
from medserver.log import Event
from medserver.node import Node
from medserver.procedures.performed import FINAL, named_instances
from medserver.scu import query

logger = logging.getLogger(__name__)


class Evidence:
    """What says that studies are complete; each study is looked up once.

    Parameters
    ----------
    node : Node
        Whose index.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._noted: dict[str, dict[str, datetime]] = {}
        self._performed: dict[str, bool] = {}
        self._counted: dict[tuple[str, str], bool] = {}

    def completes(
        self, rule: Rule, study_instance_uid: str, sender: str, received_at: datetime, *, may_ask: bool
    ) -> bool:
        """Tell whether something that a rule goes by says that a study was complete after an instance had come.

        Parameters
        ----------
        sender : str
            The AE title that sent the instance.
        received_at : datetime
            When it came.
        may_ask : bool
            Whether the sender may be asked how many instances it has: that takes an association.
        """
        return any(
            self._says(evidence, study_instance_uid, sender, received_at, may_ask) for evidence in rule.complete_by
        )

    def _says(self, evidence: str, study: str, sender: str, received_at: datetime, may_ask: bool) -> bool:
        if evidence == "mpps":
            if study not in self._performed:
                self._performed[study] = _is_performed(self._node, study)
            return self._performed[study]
        if evidence == "count":
            if may_ask and (study, sender) not in self._counted:
                self._counted[study, sender] = _is_counted(self._node, study, sender)
            return self._counted.get((study, sender), False)
        if study not in self._noted:
            self._noted[study] = dict(self._node.index.completions.of_study(study))
        at = self._noted[study].get(evidence)
        return at is not None and at >= received_at


def _is_performed(node: Node, study: str) -> bool:
    """Tell whether all steps of a study that are known are final, and everything that they name has come."""
    steps = node.index.performed_steps.of_study(study)
    if not steps or any(step.state not in FINAL for step in steps):
        return False
    named = [uid for step in steps for uid in named_instances(step)]
    return len(node.index.instances(named)) == len(set(named))


def _is_counted(node: Node, study: str, sender: str) -> bool:
    """Tell whether as many instances of a study have come as the sender says that it has."""
    remote = node.config.current.destination(sender)
    if remote is None:
        return False
    try:
        expected = _count_at(node, remote, study)
    except MedserverError as error:
        logger.info(Event("not counted", sender=remote.name, reason=str(error)))
        return False
    return 0 < expected <= node.index.select([SingleValue("StudyInstanceUID", study)]).count


def _count_at(node: Node, remote: Remote, study: str) -> int:
    """Return how many instances of a study an AE has, 0 if it does not say.

    Raises
    ------
    RemoteError, CannotUnderstand
        It cannot be asked, or does not answer.
    """
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study
    identifier.NumberOfStudyRelatedInstances = None
    standing = standing_of(node, remote, unless_paused=True)
    with session_with(node, remote, [query.proposal(uids.STUDY_ROOT_FIND)], standing=standing) as session:
        found = session.perform(lambda association: query.matches(association, uids.STUDY_ROOT_FIND, identifier))
    return max(map(query.study_related_instances, found), default=0)
