"""What the statement says of DICOMweb."""

from __future__ import annotations

from collections.abc import Iterable

from medserver.conformance.document import Section, Table
from medserver.web.frames import MEDIA_TYPES
from medserver.web.negotiation import INSTANCES, METADATA, ONE_INSTANCE, RELATED, Offer
from medserver.web.routes import ROUTES
from medserver.web.search import ALWAYS, RESULTS_MAX

SERVICES = (
    "Studies Service as the origin server, over HTTP/1.1: Search (QIDO-RS), Retrieve (WADO-RS) and Store (STOW-RS) of "
    "instances in application/dicom. Retrieve Rendered is there for instances and frames, Retrieve Thumbnail at every "
    "level. Retrieve Capabilities and the storing of metadata with bulk data are not supported.",
    "URI Service (WADO-URI), instances and pictures of a frame, without annotation; anonymize, presentation states and "
    "regions are refused.",
    "Worklist Service (UPS-RS) as the origin server, on the work items that Unified Procedure Step over DIMSE serves. "
    "Paths of the state and of a request to cancel may end with who asks; CANCELLED is read as CANCELED. Subscribers "
    "are told by N-EVENT-REPORT; notifications over WebSocket are not supported.",
    f"A search is answered with at most {RESULTS_MAX} matches, those that were registered last first. Of its "
    "parameters fuzzymatching is not supported; what is passed over is named in a Warning. Keys of lower levels are "
    "matched (relational queries). Nothing found is 204. A request without Accept is 406 (PS3.18 8.7.5).",
    "Success of Store means what success of C-STORE means. Character sets of answers are UTF-8.",
)
SECURITY = (
    "HTTPS with the certificate of [web]. Requests are authenticated by HTTP Basic (RFC 7617) and Bearer tokens (RFC "
    "6750): tokens of this node, JSON Web Tokens of configured issuers, users with passcodes; in the clear from this "
    "machine only. The rights are those of the roles of the user or token.",
)


def routes_table() -> Table:
    """Return the resources and transactions."""
    return Table(
        "Resources and transactions",
        ("method", "resource", "transaction", "clause", "right"),
        tuple((each.method, each.template, each.name, each.clause, each.right) for each in ROUTES),
    )


def media_types_table() -> Table:
    """Return what is sent."""

    def named(offers: Iterable[Offer]) -> str:
        return ", ".join(f"{RELATED}; {each.media_type}" if each.is_multipart else each.media_type for each in offers)

    rows = (
        ("matches and metadata", named(METADATA), "-"),
        ("several instances", named(INSTANCES), "stored, or what it can be brought into"),
        ("an instance", named(ONE_INSTANCE), "stored, or what it can be brought into"),
        ("frames", "multipart/related; application/octet-stream", "Explicit VR Little Endian, or as stored"),
        *(("frames", f"multipart/related; {name}", ", ".join(uids)) for name, uids in MEDIA_TYPES.items()),
        ("rendered", "image/jpeg, image/png", "-"),
    )
    return Table("Media types", ("resource", "media types, the default first", "transfer syntaxes"), rows)


def attributes_table() -> Table:
    """Return what every match holds."""
    rows = tuple((level, ", ".join(keywords)) for level, keywords in ALWAYS.items())
    return Table("Attributes of every match", ("level", "attributes"), rows)


def services_section(number: str) -> Section:
    """Return the section of the services."""
    return Section(number, "DICOM Web Services", (*SERVICES, routes_table(), media_types_table(), attributes_table()))
