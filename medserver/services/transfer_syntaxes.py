"""Which transfer syntax of a storage context is accepted: the first that can be served (PS3.8 9.3.3.2, PS3.5 10.1).

A requestor that proposes several in one context can be answered with one, before anybody knows which instances follow.
What counts is therefore what every instance can be brought into: uncompressed, unless the configuration says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from medserver import codecs
from medserver.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_SOP_CLASSES_WITHOUT_PIXELS,
    TRANSFER_SYNTAXES,
    VIDEO_SOP_CLASSES,
    TransferSyntax,
)
from medserver.wire.negotiation import Ranks

# Behind what is preferred, which has the ranks from 0 on.
_UNCOMPRESSED, _COMPRESSED, _AS_STORED = 1000, 1001, 1002

_CLASSES_CACHED_MAX = 4096
"""A table for each SOP class and preference that an AE has proposed."""


@lru_cache(maxsize=_CLASSES_CACHED_MAX)
def ranks_received(sop_class_uid: str, preferred: tuple[str, ...] = ()) -> Ranks:
    """Return the ranks of the transfer syntaxes in which instances may be sent to us: all can be stored.

    An SCU whose instances are uncompressed cannot send them if JPEG is accepted beside Explicit VR Little Endian, as
    DCMTK's ``storescu +C -xs`` proposes it. One whose instances are compressed proposes a context for that.

    Parameters
    ----------
    sop_class_uid : str
        A storage class.
    preferred : tuple of str
        The best first.
    """
    ranks = _ranks(sop_class_uid, preferred, lambda syntax: _COMPRESSED)
    if sop_class_uid in STORAGE_SOP_CLASSES_WITHOUT_PIXELS:
        # Who has a report in a syntax for images, and proposes nothing else, may send it.
        return {each.uid: _AS_STORED for each in TRANSFER_SYNTAXES if each.encapsulated} | dict(ranks)
    return ranks


@lru_cache(maxsize=_CLASSES_CACHED_MAX)
def ranks_sent(sop_class_uid: str, preferred: tuple[str, ...] = ()) -> Ranks:
    """Return the ranks of the transfer syntaxes in which the sub-operations of a C-GET may be sent.

    What cannot be encoded here comes last: it is of use for what is stored in it.

    Parameters
    ----------
    sop_class_uid : str
        A storage class.
    preferred : tuple of str
        The best first; what cannot be encoded has no preference.
    """
    encoded = {EXPLICIT_VR_LITTLE_ENDIAN}
    encoded |= {*codecs.targets(EXPLICIT_VR_LITTLE_ENDIAN), *codecs.compressions(EXPLICIT_VR_LITTLE_ENDIAN)}
    possible = tuple(uid for uid in preferred if uid in encoded)
    return _ranks(sop_class_uid, possible, lambda syntax: _COMPRESSED if syntax.uid in encoded else _AS_STORED)


def _ranks(
    sop_class_uid: str, preferred: tuple[str, ...], of_compressed: Callable[[TransferSyntax], int]
) -> Mapping[str, int]:
    """Return the rank of each transfer syntax that the class can have: those of PS3.5 A.4 only with pixels."""
    without_pixels = sop_class_uid in STORAGE_SOP_CLASSES_WITHOUT_PIXELS
    is_video = sop_class_uid in VIDEO_SOP_CLASSES
    ranks = {
        each.uid: _UNCOMPRESSED if each.native or (is_video and each.video) else of_compressed(each)
        for each in TRANSFER_SYNTAXES
        if not (without_pixels and each.encapsulated)
    }
    wanted = [uid for uid in preferred if uid in ranks]
    return ranks | {uid: rank for rank, uid in enumerate(wanted)}
