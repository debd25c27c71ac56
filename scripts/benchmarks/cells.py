"""The table of what is measured, and what is demanded of medserver."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from scripts.benchmarks.candidates import (
    ALONE,
    CP,
    DCMQRSCP,
    GDCMCONV,
    MEDSERVER,
    ORTHANC,
    RAW,
    SCRIPT,
    SHA256SUM,
    STORESCP,
    UNCOMPRESSED,
)
from scripts.benchmarks.cell import Cell, Requirement
from scripts.benchmarks.compressed import OverLink, StoredCompressed
from scripts.benchmarks.default_sockets import (
    QueryingDefaultSockets,
    RetrievingDefaultSockets,
    StoringDefaultSockets,
    VerifyingDefaultSockets,
)
from scripts.benchmarks.forwarding import Forwarding
from scripts.benchmarks.idling import Idling
from scripts.benchmarks.large_object import LargeObject
from scripts.benchmarks.print_scus import FourPrintSCUs
from scripts.benchmarks.printing import Films
from scripts.benchmarks.processing import Items, Large
from scripts.benchmarks.querying import Querying
from scripts.benchmarks.retrieving import Retrieving
from scripts.benchmarks.safekeeping import Copying, Replicated
from scripts.benchmarks.secure import IN_THE_CLEAR, Secure
from scripts.benchmarks.stage import Stage
from scripts.benchmarks.storing import Storing
from scripts.benchmarks.telling import Telling
from scripts.benchmarks.transcoding import Transcoding
from scripts.benchmarks.verifying import Verifying

DCMQRSCP_ONCE = ((DCMQRSCP, 1),)
"""dcmqrscp reads its whole index for each image: one round, and no more than the CT study."""


def _store(modality: str, associations: int, *more: Requirement) -> Cell:
    alone = modality == "CT" and associations == 1
    return Cell(
        f"store-{modality.lower()}-{associations}",
        f"C-STORE {modality}, {associations} association{'s' if associations > 1 else ''}",
        "images/s",
        (MEDSERVER, ORTHANC, STORESCP, *([DCMQRSCP] if alone else [])),
        (Requirement(1.2, 2.0, ORTHANC), *more),
        "C-STORE",
        modality,
        associations,
        DCMQRSCP_ONCE,
    )


def _retrieve(operation: str, modality: str) -> Cell:
    return Cell(
        f"{operation[2:].lower()}-{modality.lower()}",
        f"{operation} {modality} study",
        "images/s",
        (MEDSERVER, ORTHANC, *([DCMQRSCP] if modality == "CT" else [])),
        (Requirement(0.8, 1.5, ORTHANC),),
        operation,
        modality,
        rounds_max=DCMQRSCP_ONCE,
    )


def _secure(operation: str, floor: float, goal: float) -> Cell:
    return Cell(
        f"tls-{operation[2:].lower()}-ct",
        f"{operation} CT over TLS",
        "images/s",
        (MEDSERVER, ORTHANC, IN_THE_CLEAR),
        (Requirement(floor, goal, ORTHANC), Requirement(0.6, 0.8, IN_THE_CLEAR)),
        operation,
        "CT",
    )


def _alone(name: str, title: str, unit: str, floor: float, goal: float, operation: str = "") -> Cell:
    return Cell(name, title, unit, (MEDSERVER,), (Requirement(floor, goal),), operation)


def _copies(operation: str, modality: str, peer: str) -> Cell:
    return Cell(
        f"{operation}-{modality.lower()}",
        f"{operation} {modality} files",
        "MB/s",
        (MEDSERVER, peer),
        (Requirement(0.5, 1.0, peer),),
        operation,
        modality,
    )


def _replicated(modality: str, associations: int) -> Cell:
    return Cell(
        f"replica-{modality.lower()}-{associations}",
        f"C-STORE {modality}, {associations} association{'s' if associations > 1 else ''}, with a replica",
        "images/s",
        (MEDSERVER, ALONE),
        (Requirement(0.8, 0.95, ALONE),),
        "C-STORE",
        modality,
        associations,
    )


def _transcoded(operation: str, name: str, floor: float, goal: float) -> Cell:
    return Cell(
        f"{operation}-{name}",
        f"{operation} CT, {name}",
        "images/s",
        (MEDSERVER, GDCMCONV),
        (Requirement(floor, goal, GDCMCONV),),
        operation,
        name,
    )


def _over_link(subject: str) -> Cell:
    return Cell(
        f"link-{subject.replace(' ', '-')}",
        f"C-MOVE CT over 100 Mbit/s, {subject}",
        "images/s",
        (MEDSERVER, UNCOMPRESSED),
        (Requirement(1.8, 2.2, UNCOMPRESSED),),
        "C-MOVE",
        subject,
    )


def _default_sockets(cell: Cell, floor: float, goal: float) -> Cell:
    """Return a cell with the sockets that clients and servers have by default, compared with Orthanc only."""
    return replace(
        cell,
        name=f"default-{cell.name}",
        title=f"{cell.title}, default sockets",
        candidates=(MEDSERVER, ORTHANC),
        requirements=(Requirement(floor, goal, ORTHANC),),
        rounds_max=(),
    )


_FIND_ALL = Cell(
    "find-all",
    "C-FIND of all studies",
    "answers/s",
    (MEDSERVER, ORTHANC),
    (Requirement(0.5, 1.5, ORTHANC),),
)


STAGES: dict[type[Stage], tuple[Cell, ...]] = {
    Storing: (
        _store("CT", 1),
        _store("CT", 4, Requirement(0.4, 1.0, STORESCP)),
        _store("MR", 1),
        _store("MR", 4),
    ),
    Replicated: tuple(_replicated(modality, count) for modality in ("CT", "MR") for count in (1, 4)),
    Copying: tuple(
        _copies(operation, modality, peer)
        for operation, peer in (("verify", SHA256SUM), ("replicate", CP))
        for modality in ("CT", "MR")
    ),
    Transcoding: (
        _transcoded("compress", "j2k", 0.9, 1.3),
        _transcoded("decompress", "j2k", 1.3, 2.0),
        _transcoded("compress", "htj2k", 8.0, 12.0),
    ),
    StoredCompressed: (
        Cell(
            "get-j2k",
            "C-GET of a study stored as JPEG 2000",
            "images/s",
            (MEDSERVER, RAW),
            (Requirement(0.9, 1.0, RAW),),
            "C-GET",
            "CT",
        ),
    ),
    OverLink: (_over_link("j2k"), _over_link("htj2k"), _over_link("stored j2k")),
    Forwarding: (
        *(
            Cell(
                f"forward-{modality.lower()}-{count}",
                f"{modality} received and sent on by a rule, {count} images",
                "images/s",
                (MEDSERVER, ORTHANC),
                (Requirement(1.6, 2.0, ORTHANC),),
                str(count),
                modality,
            )
            for modality, count in product(("CT", "MR"), (200, 500))
        ),
        _alone("forward-delay", "delay of a single CT image", "ms", 100, 50, "delay"),
    ),
    Retrieving: (
        _retrieve("C-GET", "CT"),
        _retrieve("C-GET", "MR"),
        _retrieve("C-MOVE", "CT"),
        _retrieve("C-MOVE", "MR"),
    ),
    Secure: (
        _secure("C-STORE", 1.5, 2.0),
        _secure("C-GET", 1.2, 1.5),
        Cell("tls-handshakes", "TLS handshakes", "1/s", (MEDSERVER, ORTHANC), (), "handshakes"),
        *(
            replace(_alone(f"tls-{kind}", f"C-ECHO over TLS, 500 {kind} connections", "ms", 250, 50), operation=kind)
            for kind in ("silent", "half")
        ),
    ),
    Querying: (_FIND_ALL,),
    Verifying: (
        Cell(
            "echo",
            "C-ECHO on an open association",
            "ms",
            (MEDSERVER, ORTHANC, STORESCP),
            (Requirement(0.5, 0.2),),
        ),
    ),
    StoringDefaultSockets: (
        *(_default_sockets(_store("CT", count), 1.2, 2.0) for count in (1, 4)),
        *(_default_sockets(_store("MR", count), 20.0, 40.0) for count in (1, 4)),
    ),
    RetrievingDefaultSockets: (
        _default_sockets(_retrieve("C-GET", "CT"), 0.8, 1.5),
        _default_sockets(_retrieve("C-GET", "MR"), 20.0, 40.0),
        _default_sockets(_retrieve("C-MOVE", "CT"), 0.8, 1.5),
        _default_sockets(_retrieve("C-MOVE", "MR"), 20.0, 40.0),
    ),
    QueryingDefaultSockets: (_default_sockets(_FIND_ALL, 0.5, 1.5),),
    VerifyingDefaultSockets: (
        _default_sockets(Cell("echo", "C-ECHO on an open association", "answers/s", (), ()), 20.0, 40.0),
    ),
    Telling: (_alone("events", "events of work items, 200 a second, 99th percentile", "ms", 250, 100),),
    Items: (
        _alone("processing-noop", "work item with one result, of many", "ms/item", 33.3, 20, "many"),
        _alone("processing-alone", "work item with one result, alone", "ms", 60, 30, "alone"),
    ),
    Large: tuple(
        Cell(
            f"{operation}-500",
            f"{operation} of a CT series",
            "images/s",
            (MEDSERVER, SCRIPT),
            (Requirement(0.8, 1.0, SCRIPT),),
            operation,
        )
        for operation in ("denoise", "reformat")
    ),
    Films: (
        _alone("film-time", "14 x 17 inch film of 12 CT images, 300 dpi", "s", 1.5, 1.0, "time"),
        _alone("film-memory", "14 x 17 inch film of 12 CT images, memory", "MB", 300, 200, "memory"),
    ),
    FourPrintSCUs: (
        _alone("films-pace", "4 Print SCUs at once, films of 12 CT images, each", "s", 1.5, 0.75, "pace"),
        _alone("films-delay", "the same, from success to the last PDF", "s", 6.0, 3.0, "delay"),
        _alone("films-memory", "the same, memory of the node", "MB", 600, 400, "memory"),
    ),
    Idling: (_alone("idle", "idle associations", "% CPU", 15, 5),),
    LargeObject: (
        _alone("large-received", "large object received", "MB", 64, 16, "C-STORE"),
        _alone("large-sent", "large object sent", "MB", 64, 16, "C-GET"),
    ),
}
"""The cells by the stage that they need."""

CELLS: tuple[Cell, ...] = tuple(cell for cells in STAGES.values() for cell in cells)
