"""UIDs of what is made for a work item: a repeat has them again (PS3.5 B.2), and who looks for them finds them."""

from __future__ import annotations

import uuid

from medserver.dicom.uids import name_based_uid, uid_of

OUTPUTS_MAX = 20_000
"""More than this a task does not make."""

_NAMESPACE = uuid.UUID("6d1f4f3a-7d2b-5f0c-9a55-2b7f0c1b7e11")


def uid_made_for(base: str, what: str, which: int | str) -> str:
    """Return the UID of something that is made: see `task.Task.uid`.

    Parameters
    ----------
    base : str
        The SOP Instance UID of the work item, or what stands for it: see `base_of`.
    """
    return name_based_uid(_NAMESPACE, f"{base} {what} {which}")


def base_of(sop_instance_uid: str, renewals: int) -> str:
    """Return of what the UIDs of the outputs of an item are made, after they were renewed so often."""
    return uid_of("renewed", sop_instance_uid, str(renewals)) if renewals else sop_instance_uid
