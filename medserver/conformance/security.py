"""Chapter 8 and the annexes of the statement."""

from __future__ import annotations

from medserver.audit import KINDS
from medserver.audit.message import MESSAGE_SIZE_MAX_BYTES
from medserver.conformance.configuration import default_of
from medserver.conformance.document import Section, Table
from medserver.conformance.overview import NOT_SUPPORTED
from medserver.conformance.web import SECURITY as SECURITY_OF_WEB
from medserver.identity.rights import RIGHTS
from medserver.services.registry import services_of
from medserver.tls.contexts import SUITES_1_2, SUITES_1_3

IDENTITY = (
    "As the acceptor: User-Identity-Types 1 (of users without a passcode), 2 and 5 (JSON Web Token), the last two over "
    "TLS only; an entry of the configuration says whether a user is passed over, accepted or required. The positive "
    "response is sent when it is asked for and the user was verified, with a server response of no length. Types 3 "
    "and 4 are refused."
)
REFUSALS = (
    "A user who is missing where one is required, or is not verified, has the association rejected as that of an AE "
    "that is not known (rejected-permanent, service-user, calling-AE-title-not-recognized). Of what the entry allows a "
    "user may do what a role of the user includes; anything else is answered with 0124."
)

TRANSPORT = (
    "The Non-Downgrading BCP 195 TLS Secure Transport Connection Profile (PS3.15 B.12), as acceptor and as requestor, "
    "on a port of its own: TLS 1.2 and 1.3 with the suites below, in which B.13 would have them. Compression, "
    "renegotiation and the resumption of sessions are not offered. A certificate of the requestor is demanded."
)
KEYS = (
    "Keys and certificates are PEM files, RSA of 2048 bits or more, or ECDSA. An AE is recognised by the SHA-256 "
    "fingerprint of the SubjectPublicKeyInfo of its certificate, or by a name in a certificate that a CA of the "
    "configuration has signed; certificates that are expired, or revoked by a CRL of the configuration, are refused. "
    "Certificates, CAs and CRLs are replaced without a restart."
)
REFUSED_ALIKE = (
    "An association whose requestor does not prove that it is the AE that it names is rejected as that of an AE that "
    "is not known (rejected-permanent, service-user, calling-AE-title-not-recognized), whatever the reason."
)

_NONE_CREATED = "Not applicable: the node creates no SOP Instances."


AUDIT_FORMAT = (
    "Audit Trail Message Format Profile (PS3.15 A.5): the messages of the following table are recorded, each valid by "
    f"the schema of A.5.1, of at most {MESSAGE_SIZE_MAX_BYTES} bytes, without extensions of the schema. UserID is the "
    "process ID of the node as in its log, the AE title of a peer, or LOGIN@DOMAIN of a person; AlternativeUserID has "
    "the AE title. Messages that are received are not processed. [audit] configures all of it."
)
AUDIT_TRANSMISSION = (
    "Audit Trail Message Transmission Profiles SYSLOG-TLS and SYSLOG-UDP (PS3.15 A.6, A.7): to the repositories of the "
    "configuration, with PRI 85, MSGID IHE+RFC-3881 and no STRUCTURED-DATA; TLS 1.2 and 1.3, with a client certificate "
    "if one is configured. What may not have arrived is sent again."
)


def _audit_messages() -> Table:
    """Return the table of audit messages."""
    return Table(
        "Audit messages",
        ("EventID", "clause", "made when", "EventActionCode", "EventTypeCode"),
        tuple(
            (
                f"{kind.event.meaning} ({kind.event.value}, {kind.event.system})",
                kind.clause,
                kind.when,
                ", ".join(kind.actions),
                ", ".join(each.meaning for each in kind.types) or "none",
            )
            for kind in KINDS.values()
        ),
    )


def _rights() -> Table:
    """Return the table of rights."""
    return Table(
        "Rights, what they open, and the roles that include them",
        ("right", "services", "roles"),
        tuple((right.name, ", ".join(services_of(right.name)), ", ".join(sorted(right.roles))) for right in RIGHTS),
    )


def _suites() -> Table:
    """Return the cipher suites of TLS."""
    rows = [*(("TLS 1.3", suite) for suite in SUITES_1_3), *(("TLS 1.2", suite) for suite in SUITES_1_2)]
    return Table("Cipher suites", ("version", "suite"), tuple(rows))


def security() -> Section:
    """Return chapter 8."""
    return Section(
        "8",
        "Security",
        (),
        (
            Section(
                "8.1",
                "Introduction",
                (
                    "Associations are accepted only from AEs of the configuration. Each entry says whether its AE "
                    "calls over TLS, and by which certificates it is recognised. What is sent in the clear belongs "
                    "into a network that is protected by other means.",
                ),
            ),
            Section(
                "8.2",
                "External Network Requirements",
                (
                    "A name server if entries name hosts, the database server if the index is in "
                    "PostgreSQL; nothing else. The clock of the machine should be right.",
                ),
            ),
            Section(
                "8.3",
                "TCP Port Configuration",
                (
                    f"One listening port in the clear, {default_of('node', 'port')} by default, on "
                    f"{default_of('node', 'address')} by default, and one for TLS if it is configured, by custom "
                    "2762; either may be left out. Outgoing connections go to the addresses of [ae NAME] entries. "
                    "Behind TCP balancers of the configuration, connections begin with a header of the PROXY "
                    "protocol, version 2.",
                ),
            ),
            Section(
                "8.4",
                "DICOM Security Profiles Support",
                (),
                (
                    Section("8.4.1", "Secure Use and User Identity Profiles", (IDENTITY,)),
                    Section(
                        "8.4.2",
                        "Secure Transport Connection Profiles",
                        (TRANSPORT, KEYS, REFUSED_ALIKE, _suites()),
                    ),
                    Section("8.4.3", "Media Storage Security Profiles", (NOT_SUPPORTED,)),
                    Section("8.4.4", "Attribute Confidentiality Profiles", (NOT_SUPPORTED,)),
                    Section("8.4.5", "Digital Signature Profiles", (NOT_SUPPORTED,)),
                    Section("8.4.6", "Additional DICOM Security Profiles", (NOT_SUPPORTED,)),
                ),
            ),
            Section("8.5", "User Identity Negotiation Support", (IDENTITY, REFUSALS, _rights())),
            Section("8.6", "Web Services Security Features", SECURITY_OF_WEB),
            Section(
                "8.7",
                "Other Security Features",
                (
                    AUDIT_FORMAT,
                    _audit_messages(),
                    AUDIT_TRANSMISSION,
                    "Each entry lists the services that its AE may use; the rights are checked when a "
                    "presentation context is negotiated and again at each operation (0124). Images are "
                    "sent only to AEs of the configuration. Sizes, times and numbers of what a peer sends "
                    "are limited (6.1). Unknown callers are logged and listed for the administrator.",
                ),
            ),
        ),
    )


def details() -> tuple[Section, ...]:
    """Return the annexes of the statement."""
    return (
        Section("A.A", "Information Object Definitions", (_NONE_CREATED,)),
        Section("A.B", "Structured Report Content Encoding", (_NONE_CREATED,)),
        Section("A.C", "Security Details", ("Nothing beyond chapter 8.",)),
        Section("A.D", "Mapping of Attributes", ("No attribute is mapped.",)),
        Section("A.E", "Code Set Usage", ("No code is interpreted.",)),
    )
