"""Chapter 8 and the annexes of the statement."""

from __future__ import annotations

from medserver.conformance.configuration import default_of
from medserver.conformance.document import Section
from medserver.conformance.overview import NOT_SUPPORTED

_NONE_CREATED = "Not applicable: the node creates no SOP Instances."


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
                    "Associations are accepted only from AEs of the configuration. Traffic is not encrypted by the "
                    "node: keep it in a network that is protected by other means.",
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
                    f"One listening port, {default_of('node', 'port')} by default, on "
                    f"{default_of('node', 'address')} by default. Outgoing connections go to the addresses "
                    "of [ae NAME] entries.",
                ),
            ),
            Section(
                "8.4",
                "DICOM Security Profiles Support",
                (),
                (
                    Section("8.4.1", "Secure Use and User Identity Profiles", (NOT_SUPPORTED,)),
                    Section("8.4.2", "Secure Transport Connection Profiles", (NOT_SUPPORTED,)),
                    Section("8.4.3", "Media Storage Security Profiles", (NOT_SUPPORTED,)),
                    Section("8.4.4", "Attribute Confidentiality Profiles", (NOT_SUPPORTED,)),
                    Section("8.4.5", "Digital Signature Profiles", (NOT_SUPPORTED,)),
                    Section("8.4.6", "Additional DICOM Security Profiles", (NOT_SUPPORTED,)),
                ),
            ),
            Section("8.5", "User Identity Negotiation Support", (NOT_SUPPORTED,)),
            Section("8.6", "Web Services Security Features", (NOT_SUPPORTED,)),
            Section(
                "8.7",
                "Other Security Features",
                (
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
