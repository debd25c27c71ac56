"""pynetdicom, unchanged, as an independent client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from medserver.dicom import uids
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role

from tests.peers import Address

EXPLICIT, IMPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN
ALL_TRANSFER_SYNTAXES = tuple(syntax.uid for syntax in uids.TRANSFER_SYNTAXES)


@contextmanager
def associated(
    remote: Address,
    contexts: Iterable[PresentationContext | str],
    *,
    calling_ae_title: str = "FINDSCU",
    extended: Mapping[str, bytes] | None = None,
    handlers: Sequence[tuple[Any, Callable]] = (),
    receives: Iterable[str] = (),
) -> Iterator[Association]:
    """Open an association with pynetdicom; whether it is established is for the test to see.

    Parameters
    ----------
    contexts : iterable of PresentationContext or str
        A SOP class stands for the two common transfer syntaxes.
    extended : mapping of str to bytes
        SOP Class Extended Negotiation.
    receives : iterable of str
        The SOP classes that it wants to receive as the SCP of the sub-operations of a C-GET.
    """
    ae = AE(calling_ae_title)
    requested = [
        build_context(one, [EXPLICIT, IMPLICIT]) if isinstance(one, str) else one
        for one in [*contexts, *receives]
    ]
    items: list[Any] = [build_role(uid, scp_role=True) for uid in receives]
    for sop_class_uid, information in (extended or {}).items():
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = sop_class_uid, information
        items.append(item)
    association = ae.associate(
        remote.host,
        remote.port,
        requested,
        remote.ae_title,
        ext_neg=items,
        evt_handlers=list(handlers),
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def answers(responses: Iterable[tuple[Dataset, Dataset | None]]) -> tuple[tuple[int, ...], list[Dataset]]:
    """Return the statuses and the pending identifiers of what `send_c_find` gives."""
    statuses, identifiers = [], []
    for response, identifier in responses:
        statuses.append(response.Status)
        if identifier is not None and response.Status in (0xFF00, 0xFF01):
            identifiers.append(identifier)
    return tuple(statuses), identifiers
