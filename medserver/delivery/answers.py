"""What an answer to a C-STORE request means for the outbox: the table that decides, and the manual shows.

=============================================== =========================================================
answer                                          what follows
=============================================== =========================================================
success, warning (0000, Bxxx)                   it is delivered
out of resources (A7xx, 0213)                   the destination is paused as a whole, nothing counts as tried
cannot understand (Cxxx), does not match (A9xx), the instance waits for a decision: it would be refused again
and 0111, 0117, 0122, 0124
no presentation context, no transfer syntax     the same
everything else, FF00 and FE00 as well          the instance is tried again, later each time
=============================================== =========================================================
"""

from __future__ import annotations

import re
from enum import Enum

from medserver.dicom import status

Answer = Enum("Answer", "TAKEN OUT_OF_RESOURCES REFUSED FAILED")

_CODE = re.compile("0x([0-9A-F]{4}) ")
_LASTING = frozenset({
    status.DUPLICATE,
    status.INVALID_OBJECT_INSTANCE,
    status.SOP_CLASS_NOT_SUPPORTED,
    status.NOT_AUTHORISED,
})


def meaning(code: int) -> Answer:
    """Return what a status of C-STORE means.

    References
    ----------
    PS3.4 B.2.3, PS3.7 9.1.1.1.9
    """
    if status.is_performed(code):
        return Answer.TAKEN
    if code & 0xFF00 == status.OUT_OF_RESOURCES or code == status.RESOURCE_LIMITATION:
        return Answer.OUT_OF_RESOURCES
    if code in _LASTING or code & 0xFF00 == status.DATA_SET_MISMATCH or code & 0xF000 == status.CANNOT_UNDERSTAND:
        return Answer.REFUSED
    return Answer.FAILED


def is_out_of_resources(reason: str) -> bool:
    """Tell whether the reason of a pause is the answer of a destination that has no resources: `status.describe`."""
    found = _CODE.match(reason)
    return found is not None and meaning(int(found[1], 16)) is Answer.OUT_OF_RESOURCES
