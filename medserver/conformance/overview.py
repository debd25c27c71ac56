"""Chapters 1, 3 and 4: what the node is, in tables, and how its parts belong together."""

from __future__ import annotations

from medserver import __version__
from medserver.conformance.document import Section
from medserver.conformance.pixels import codecs_table, encodings_table, undecoded_table
from medserver.conformance.roles import (
    other_sop_classes_table,
    other_syntaxes,
    services_table,
    sop_classes_table,
    transfer_syntaxes_table,
)
from medserver.services.registry import STORAGE

NOT_SUPPORTED = "Not supported."

TERMS = (
    "An Application Entity (AE) is one end of an association. The requestor opens it, the acceptor takes "
    "it. A Service Class User (SCU) asks for an operation, a Service Class Provider (SCP) performs it. The "
    "index is the database of what is stored, the store the files themselves. All other terms are those of "
    "the standard."
)


def overview() -> Section:
    """Return chapter 1."""
    return Section(
        "1",
        "Overview",
        (
            "medserver is a network node that takes over images and other composite objects from "
            "modalities, keeps them byte for byte as received, finds them and delivers them to "
            "workstations. This statement is printed by the program from the tables that it works with.",
        ),
        (
            Section(
                "1.1",
                "Content and Transfer",
                (
                    "The node creates no SOP Instances. Everything below is received, stored and sent "
                    "again. Storage SOP classes outside the standard are accepted from an AE whose entry "
                    "names them.",
                    sop_classes_table("Storage SOP classes", STORAGE),
                    transfer_syntaxes_table(),
                    codecs_table(),
                    encodings_table(),
                    undecoded_table(),
                    f"All services but Storage are offered in {other_syntaxes()}.",
                ),
            ),
            Section(
                "1.2",
                "DIMSE Services",
                (
                    services_table(),
                    other_sop_classes_table(),
                ),
            ),
            Section("1.3", "DICOM Web Services", ("Search, Retrieve and Store of the Studies Service, see 5.3.",)),
            Section(
                "1.4",
                "Media Services",
                ("Not supported. ``medserver send`` reads DICOMDIR files to find what to send.",),
            ),
            Section("1.5", "Real-Time Video Services", (NOT_SUPPORTED,)),
            Section("1.6", "De-identification Profiles", (NOT_SUPPORTED,)),
            Section("1.7", "Specific Character Sets", ("See 5.7.",)),
        ),
    )


def introduction() -> Section:
    """Return chapter 3."""
    return Section(
        "3",
        "Introduction",
        (),
        (
            Section(
                "3.1", "Revision History", (f"Printed by medserver {__version__}.",)
            ),
            Section(
                "3.2", "Audience", ("Whoever connects an AE to the node or decides whether to.",)
            ),
            Section(
                "3.3",
                "Remarks",
                (
                    "A conformance statement allows a first comparison of two implementations. It does not "
                    "replace a test of one with the other.",
                ),
            ),
            Section("3.4", "Terms and Definitions", (TERMS,)),
            Section(
                "3.5",
                "Abbreviations",
                (
                    "AE: Application Entity. DIMSE: DICOM Message Service Element. PDU: Protocol Data "
                    "Unit. SCP: Service Class Provider. SCU: Service Class User. SOP: Service-Object Pair. "
                    "UID: Unique Identifier. VR: Value Representation.",
                ),
            ),
            Section(
                "3.6", "References", ("The DICOM Standard, PS3.1 to PS3.22, cited as PS3.4 C.4.1.",)
            ),
        ),
    )


def implementation_model() -> Section:
    """Return chapter 4."""
    return Section(
        "4",
        "Implementation Model",
        (),
        (
            Section(
                "4.1",
                "Application Entities and Data Flow",
                (
                    "The node is one AE. It listens on one TCP port under one AE title. Other AEs store "
                    "instances, which go to the store and are entered into the index; they query the "
                    "index; and they retrieve from the store, on the same association (C-GET) or through a "
                    "new one that the node opens to the Move Destination (C-MOVE). They ask the node to commit to "
                    "the safekeeping of instances, and the node asks others. By rules the node stores what it has "
                    "received at other AEs, and it collects instances from AEs that it polls.",
                ),
                (
                    Section(
                        "4.1.1",
                        "Functional Definition of medserver",
                        (
                            "``medserver serve`` is the acceptor of associations and, for the "
                            "sub-operations of a C-MOVE, reports on storage commitment, deliveries by rule and "
                            "collection, a requestor. The "
                            "commands ``echo``, ``send``, ``find``, ``move``, ``get`` and ``commit`` are "
                            "requestors that an administrator runs; "
                            "they use the AE title of the node unless another one is given.",
                        ),
                    ),
                ),
            ),
        ),
    )
