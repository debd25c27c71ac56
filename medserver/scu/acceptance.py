"""The presentation contexts in which we let a remote AE send us instances during a C-GET (PS3.4 C.5.3).

A context ends up with one transfer syntax, which the remote AE chooses. So that it can send what it has as it has it,
each usual transfer syntax gets a context of its own, as far as the 128 contexts of an association go.
"""

from __future__ import annotations

from collections.abc import Iterable

from medserver.dicom import uids
from medserver.wire.requestor import CONTEXTS_MAX, Proposal

SOP_CLASSES_PER_ASSOCIATION = 63
"""So many have two contexts each besides the one of the C-GET itself."""

SYNTAXES_PER_CONTEXT_MAX = 32
"""DCMTK aborts the association when it finds more than 50 transfer syntaxes in one context."""

_UNCOMPRESSED = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN)

_USUAL_SYNTAXES = (
    uids.EXPLICIT_VR_LITTLE_ENDIAN,
    uids.IMPLICIT_VR_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.4.102",  # MPEG-4
    "1.2.840.10008.1.2.4.103",  # MPEG-4 BD
    "1.2.840.10008.1.2.4.100",  # MPEG2
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_BIG_ENDIAN,
)
SYNTAXES = (
    *_USUAL_SYNTAXES,
    *(syntax.uid for syntax in uids.TRANSFER_SYNTAXES if syntax.uid not in _USUAL_SYNTAXES),
)
"""Every transfer syntax, the most usual first."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
USUAL_SOP_CLASSES = tuple(
    _STORAGE + suffix
    for suffix in (
        "2 4 1 7 128 20 6.1 3.1 1.1 1.2 12.1 12.2 2.1 4.1 1.1.1 1.2.1 1.3 13.1.3 13.1.1 13.1.2 104.1 104.3 "
        "88.11 88.22 88.33 88.34 88.50 88.59 88.65 88.67 88.68 88.40 11.1 11.2 11.4 66.4 66 66.1 66.3 66.5 67 "
        "481.1 481.2 481.3 481.4 481.5 481.8 7.1 7.2 7.3 7.4 77.1.1 77.1.1.1 77.1.2 77.1.4 77.1.4.1 77.1.5.1 "
        "77.1.5.4 77.1.6 12.1.1 130 9.1.1 30"
    ).split()
)
"""What is proposed first when nobody tells which SOP classes there are."""


def storage_groups(sop_class_uids: Iterable[str] | None) -> list[list[Proposal]]:
    """Return the storage contexts to propose, a list for each association.

    Parameters
    ----------
    sop_class_uids : iterable of str or None
        The SOP classes that will come; None if they are not known: then all, the most usual first.
    """
    known = sop_class_uids is not None
    wanted = sorted(sop_class_uids) if known else _every_sop_class()
    return [
        storage_contexts(wanted[start : start + SOP_CLASSES_PER_ASSOCIATION])
        for start in range(0, len(wanted), SOP_CLASSES_PER_ASSOCIATION)
    ]


def storage_contexts(sop_class_uids: list[str]) -> list[Proposal]:
    """Return as many contexts for these SOP classes as fit into one association besides that of the C-GET."""
    each = min((CONTEXTS_MAX - 1) // len(sop_class_uids), len(SYNTAXES))
    return [Proposal(uid, syntaxes, as_scp=True) for uid in sop_class_uids for syntaxes in divided(each)]


def divided(count: int) -> list[tuple[str, ...]]:
    """Divide `SYNTAXES` among at most so many contexts of a SOP class: the usual ones alone, the next in one together.

    None has compressed and uncompressed ones unless it is the only one: of those many acceptors, as our own, take an
    uncompressed one, and would decompress what they have.
    """
    if count == 1:
        return [SYNTAXES[:SYNTAXES_PER_CONTEXT_MAX]]
    if count == 2:
        return [_UNCOMPRESSED, _compressed(SYNTAXES)[:SYNTAXES_PER_CONTEXT_MAX]]
    alone, together = SYNTAXES[: count - 1], _compressed(SYNTAXES[count - 1 :])
    contexts = [(uid,) for uid in alone]
    if uids.EXPLICIT_VR_BIG_ENDIAN not in alone:
        contexts[alone.index(uids.IMPLICIT_VR_LITTLE_ENDIAN)] += (uids.EXPLICIT_VR_BIG_ENDIAN,)
    return [syntaxes for syntaxes in (*contexts, together[:SYNTAXES_PER_CONTEXT_MAX]) if syntaxes]


def _compressed(transfer_syntax_uids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(uid for uid in transfer_syntax_uids if uid not in _UNCOMPRESSED)


def _every_sop_class() -> list[str]:
    usual = [uid for uid in USUAL_SOP_CLASSES if uid in uids.STORAGE_SOP_CLASSES]
    return [*usual, *(uid for uid in uids.STORAGE_SOP_CLASSES if uid not in usual)]
