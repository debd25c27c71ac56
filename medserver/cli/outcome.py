"""What became of a retrieve: the counters of its responses (PS3.4 C.4.2.1, C.4.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.multival import MultiValue

from medserver.cli.peer import COMMENT_LENGTH_MAX
from medserver.cli.text import printable
from medserver.dicom import status
from medserver.dicom.uids import UID_LENGTH_MAX
from medserver.scu.exchange import Response

_COUNTERS = ("Remaining", "Completed", "Failed", "Warning")


@dataclass(frozen=True)
class Outcome:
    """The counters of one response to a C-MOVE or C-GET.

    Parameters
    ----------
    code : int
        Its status.
    remaining, completed, failed, warning : int
        Its sub-operations; 0 where the response does not say.
    failed_uids : tuple of str
        The SOP Instances that were not delivered, where the response says it.
    comment : str
        What else it says, fit for a terminal.
    is_counted : bool
        Whether it says anything of its sub-operations, which it need not (PS3.7 9.1.4.1).
    """

    code: int
    remaining: int
    completed: int
    failed: int
    warning: int
    failed_uids: tuple[str, ...]
    comment: str = ""
    is_counted: bool = True

    @property
    def delivered(self) -> int:
        """How many instances arrived."""
        return self.completed + self.warning

    @property
    def done(self) -> int:
        """How many sub-operations were performed, well or not."""
        return self.completed + self.warning + self.failed

    @property
    def total(self) -> int:
        """How many there are in all."""
        return self.done + self.remaining

    @property
    def succeeded(self) -> bool:
        """Whether everything arrived, warnings included: without counters a warning may stand for failures."""
        is_warning = self.is_counted and status.is_warning(self.code)
        return (self.code == status.SUCCESS or is_warning) and not self.failed

    def remark(self) -> str:
        """Return what has to be added to the number of instances, nothing if all is well."""
        remarks = [f"{self.failed} failed"] if self.failed else []
        if self.warning:
            remarks.append(f"{self.warning} with warnings")
        if self.code != status.SUCCESS:
            words = f"status {status.describe(self.code)}"
            remarks.append(f"{words}: {self.comment}" if self.comment else words)
        elif self.is_counted and not self.done:
            remarks.append("nothing matched")
        return "".join(f", {remark}" for remark in remarks)

    def described(self) -> dict[str, object]:
        """Return this for JSON."""
        return {
            "status": f"0x{self.code:04X}",
            "completed": self.completed if self.is_counted else None,
            "failed": self.failed if self.is_counted else None,
            "warning": self.warning if self.is_counted else None,
            "failed_sop_instance_uids": list(self.failed_uids),
        }


def outcome_of(response: Response, before: Outcome | None = None) -> Outcome:
    """Read the counters of a response.

    Parameters
    ----------
    response : Response
        A remote AE may leave its counters out.
    before : Outcome, optional
        What an earlier response has told: if this one tells nothing, that still holds, and a success means that what
        remained has been performed.
    """
    told = [response.command_set.get(f"NumberOf{name}Suboperations") for name in _COUNTERS]
    counts = [int(one or 0) for one in told]
    is_counted = any(one is not None for one in told)
    if not is_counted and before is not None and before.is_counted:
        is_counted = True
        counts = [before.remaining, before.completed, before.failed, before.warning]
        if response.code == status.SUCCESS:
            counts = [0, before.completed + before.remaining, before.failed, before.warning]
    comment = printable(response.comment, COMMENT_LENGTH_MAX)
    return Outcome(response.code, *counts, _failed_uids(response), comment, is_counted)


def _failed_uids(response: Response) -> tuple[str, ...]:
    """Return the Failed SOP Instance UID List (0008,0058)."""
    if response.identifier is None:
        return ()
    value = response.identifier.get("FailedSOPInstanceUIDList") or ()
    values = value if isinstance(value, (MultiValue, list)) else [value]
    return tuple(printable(str(uid), UID_LENGTH_MAX) for uid in values if uid)
