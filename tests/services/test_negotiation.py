"""What an AE with some rights may do with each kind of SOP class, against a reference that knows none of our tables."""

from __future__ import annotations

from functools import partial
from itertools import chain, combinations, permutations, product

import pytest

from medserver.config import SERVICES as RIGHTS
from medserver.config import Remote
from medserver.dicom import uids
from medserver.identity.principal import principal_of
from medserver.services.policy import support
from medserver.services.registry import SERVICES
from medserver.wire.associate_request import AssociationRequest, ProposedContext
from medserver.wire.negotiation import negotiate

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
J2K, HTJ2K, JPEG_LS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.80"
JPEG, JPEG_LOSSLESS, MPEG2, HEVC = (f"1.2.840.10008.1.2.4.{number}" for number in (50, 70, 100, 107))
UNCOMPRESSED = {IMPLICIT, EXPLICIT, BIG_ENDIAN}
ENCODED = UNCOMPRESSED | {DEFLATED, RLE, J2K, HTJ2K, JPEG_LS}
VIDEO = {MPEG2, HEVC}
FOR_IMAGES = {RLE, J2K, HTJ2K, JPEG_LS, JPEG, JPEG_LOSSLESS} | VIDEO

CT, REPORT, RT_PLAN, FILM = (f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("2", "88.11", "481.5", "77.1.1.1"))
PRIVATE, OF_OTHERS = "1.2.826.0.1.3680043.10.999.1", "1.2.826.0.1.3680043.10.999.2"
UNKNOWN, NO_UID = "1.2.840.10008.5.1.4.999", "1.2.826.0.1.x"

# SOP class: the right to be its SCU, the right to be its SCP (PS3.4 B, C, F, J; C-GET: C.5.3; reports: J.3.3)
PERMISSIONS = {
    "1.2.840.10008.1.1": ("echo", None),
    CT: ("store", "get"),
    REPORT: ("store", "get"),
    RT_PLAN: ("store", "get"),
    FILM: ("store", "get"),
    PRIVATE: ("store", "get"),
    "1.2.840.10008.5.1.4.1.2.2.1": ("find", None),
    "1.2.840.10008.5.1.4.1.2.1.2": ("move", None),
    "1.2.840.10008.5.1.4.1.2.2.3": ("get", None),
    "1.2.840.10008.5.1.4.1.2.5.3": ("get", None),
    "1.2.840.10008.5.1.4.38.2": ("find", None),
    "1.2.840.10008.1.20.1": ("commit", "commit"),
    "1.2.840.10008.3.1.2.3.3": ("mpps", None),
    "1.2.840.10008.3.1.2.3.4": ("mpps", None),
    "1.2.840.10008.5.1.4.34.6.1": ("process", None),
    "1.2.840.10008.5.1.4.34.6.2": ("process", None),
    "1.2.840.10008.5.1.4.34.6.3": ("process", None),
    "1.2.840.10008.5.1.4.34.6.4": ("process", "process"),
    "1.2.840.10008.5.1.4.34.6.5": ("process", None),
    "1.2.840.10008.5.1.1.9": ("print", None),
    OF_OTHERS: (None, "get"),
    UNKNOWN: (None, None),
    NO_UID: (None, None),
}
STORED = (CT, REPORT, RT_PLAN, FILM, PRIVATE, OF_OTHERS)

ROLES = [None, *product((True, False), repeat=2)]
RIGHT_SETS = list(chain.from_iterable(combinations(RIGHTS, count) for count in range(len(RIGHTS) + 1)))


def entry(rights, preferred=()) -> Remote:
    return Remote("X", "X", None, None, (), frozenset(rights), (PRIVATE,), tuple(preferred))


def answers(remote: Remote, asked, proposals: dict[str, tuple[str, ...]], received=()):
    """Return result, (SCU, SCP) and transfer syntax for each SOP class."""
    request = AssociationRequest(
        called_ae_title="NODE",
        application_context_name="1.2.840.10008.3.1.1.1",
        contexts=tuple(ProposedContext(1, uid, syntaxes) for uid, syntaxes in proposals.items()),
        roles={} if asked is None else dict.fromkeys(proposals, asked),
    )
    decision = negotiate(request, "NODE", principal_of(remote, "10.0.0.5"), partial(support, received=received))
    return {
        each.abstract_syntax: (each.result, (each.requestor_is_scu, each.requestor_is_scp), each.transfer_syntax)
        for each in decision.contexts
    }


def expected_roles(uid: str, rights, asked) -> tuple[int, tuple[bool, bool]]:
    """Return result and roles where a transfer syntax is no obstacle."""
    to_use, to_provide = PERMISSIONS[uid]
    if to_use not in rights and to_provide not in rights:
        return 3, (False, False)
    wants = (True, False) if asked is None else asked
    roles = (wants[0] and to_use in rights, wants[1] and to_provide in rights)
    return (0, roles) if any(roles) else (1, roles)


@pytest.mark.parametrize("asked", ROLES)
def test_every_right_and_role(asked):
    """All sets of rights, with every kind of SOP class: among them `get` alone, and CT without role selection."""
    proposals = dict.fromkeys(PERMISSIONS, (IMPLICIT,))
    for rights in RIGHT_SETS:
        for uid, (result, roles, syntax) in answers(entry(rights), asked, proposals).items():
            assert (result, roles) == expected_roles(uid, rights, asked), (uid, rights)
            assert syntax == IMPLICIT


def expected_syntax(uid: str, proposed, preferred, is_sent: bool) -> str | None:
    """Return which transfer syntax is accepted: the first that can be served, by going through the wishes in turn."""
    if uid not in STORED:
        return next((one for one in proposed if one in UNCOMPRESSED), None)
    without_pixels = uid in (REPORT, RT_PLAN)

    def first(wishes, condition):
        return next((one for one in wishes if one in proposed and condition(one)), None)

    def fits(one):
        return not (without_pixels and one in FOR_IMAGES)

    def can_be_made(one):
        return fits(one) and (not is_sent or one in ENCODED)

    known = ENCODED | FOR_IMAGES
    return (
        first(preferred, lambda one: one in known and can_be_made(one))
        or first(proposed, lambda one: one in UNCOMPRESSED or (uid == FILM and one in VIDEO))
        or first(proposed, lambda one: one in known and can_be_made(one))
        or first(proposed, lambda one: one in known and (not is_sent or fits(one)))
    )


PREFERENCES = [(), (J2K, EXPLICIT), (IMPLICIT,), (JPEG, RLE), (MPEG2,), (UNKNOWN,)]
PROPOSED = [
    order
    for count in (1, 2, 3)
    for order in permutations([EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED, J2K, RLE, JPEG, MPEG2, "1.2.3"], count)
]


@pytest.mark.parametrize("preferred", PREFERENCES)
@pytest.mark.parametrize("asked", [None, (False, True), (True, True)])
@pytest.mark.usefixtures("every_codec")
def test_every_proposal(preferred, asked):
    remote = entry(RIGHTS, preferred if asked else ())
    received = () if asked else preferred
    for proposed in PROPOSED:
        proposals = dict.fromkeys((*STORED, "1.2.840.10008.1.1", "1.2.840.10008.1.20.1"), proposed)
        for uid, (result, (_, is_scp), syntax) in answers(remote, asked, proposals, received).items():
            if result == 1:
                assert expected_roles(uid, RIGHTS, asked)[0] == 1
                continue
            is_sent = asked is not None and PERMISSIONS[uid][1] is not None
            expected = expected_syntax(uid, proposed, preferred, is_sent)
            assert (result, syntax) == ((0, expected) if expected else (4, proposed[0])), (uid, proposed, is_scp)


@pytest.fixture
def every_codec():
    """Skip where the extra `codecs` is not installed: what can be encoded is written down with it."""
    pytest.importorskip("imagecodecs")
    pytest.importorskip("jpeg_ls")


def test_the_reference_has_a_class_of_every_service():
    assert {service.name for service in SERVICES} == {
        service.name for service in SERVICES if service.sop_classes.keys() & PERMISSIONS.keys()
    } | {"Non-patient objects - MOVE", "Non-patient objects - GET"}


def test_classes_without_pixels():
    """By their names, each of which says what the instances are."""
    names = {uids.STORAGE_SOP_CLASSES[uid] for uid in uids.STORAGE_SOP_CLASSES_WITHOUT_PIXELS}
    assert not [name for name in names if "Image" in name]
    assert {"RT Dose Storage", "Segmentation Storage", "Parametric Map Storage"}.isdisjoint(names)
    for kind in ("SR", "Waveform", "Presentation State", "Encapsulated", "Plan", "Structure Set", "Measurements"):
        words = [name for name in uids.STORAGE_SOP_CLASSES.values() if f" {kind} " in f" {name} "]
        assert words
        assert [name for name in words if name not in names and "Image" not in name] == [], kind
