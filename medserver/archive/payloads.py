"""To what the jobs that follow from an object are to be done: the payloads of `medserver.archive.follow_ups`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medserver.index import ObjectKey
from medserver.index.jobs.payloads import Payload

ListedKey = tuple[str, str, str]
"""An object: SOP Instance UID, digest, Transfer Syntax UID."""


def listed(key: ObjectKey) -> ListedKey:
    """Return the key of an object as a payload has it."""
    return key.sop_instance_uid, key.digest, key.transfer_syntax_uid


@dataclass(frozen=True, slots=True)
class FilePayload(Payload):
    """A file.

    Parameters
    ----------
    path : str
        Where it is on its volume.
    volume : str
        Its volume; empty where that is the destination of the job.
    """

    path: str
    volume: str = ""


@dataclass(frozen=True, slots=True)
class CompressionPayload(Payload):
    """A file that is to be compressed.

    Parameters
    ----------
    volume, path : str
        Where it is.
    to : str
        The transfer syntax.
    """

    volume: str
    path: str
    to: str


@dataclass(frozen=True, slots=True)
class RetirementPayload(Payload):
    """A compressed form, of which the original is to go.

    Parameters
    ----------
    object : tuple of str
        The form; empty in jobs of earlier versions, which have nothing to do any more.
    """

    object: ListedKey | tuple[()] = ()


@dataclass(frozen=True, slots=True)
class ReceiptPayload(Payload):
    """What was received, and may be wanted by rules.

    Parameters
    ----------
    sop_instance_uid, digest : str
        The object.
    sender : str
        The AE title that sent it; empty if nobody knows.
    """

    sop_instance_uid: str
    digest: str
    sender: str = ""

    @classmethod
    def upgraded(cls, version: int, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of version 0 as this one names them."""
        del version
        return {{"from": "sender"}.get(name, name): value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class StepPayload(Payload):
    """A performed procedure step.

    Parameters
    ----------
    sop_instance_uid : str
        Which.
    """

    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class StudyPayload(Payload):
    """A study.

    Parameters
    ----------
    study_instance_uid : str
        Which.
    """

    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class DecisionPayload(Payload):
    """A decision of somebody, which is to be noted on the volumes.

    Parameters
    ----------
    note : Mapping
        As it is written, see `medserver.archive.decisions`.
    """

    note: Mapping[str, Any]

    @classmethod
    def upgraded(cls, version: int, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return version 0, which was the note itself, as this one has it."""
        del version
        return {"note": values}


@dataclass(frozen=True, slots=True)
class RemovalPayload(Payload):
    """Files that the index does not know any more.

    Parameters
    ----------
    paths : tuple of str
        Those of objects that were deleted on purpose.
    surplus : tuple of (path, SOP Instance UID, digest, Transfer Syntax UID)
        Those of which another copy must be found to be good before.
    where : str
        The volume of that copy; empty if it may be on any.
    """

    paths: tuple[str, ...] = ()
    surplus: tuple[tuple[str, str, str, str], ...] = ()
    where: str = ""
