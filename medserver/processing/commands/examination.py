"""What an external program has made is looked at, all of it, before the first of it comes in.

It must be objects of the same patient and study with UIDs of their own, which refer to nothing that nobody has.
`outputs.register` looks again at each that it registers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from medserver.errors import NotPart10, ObjectNotReadable, RequestError, TransferSyntaxNotSupported
from medserver.index.derivations import DerivedInstance
from medserver.node import Node
from medserver.processing.commands.folders import Given, dicom_files, patient_of
from medserver.processing.commands.invocation import Place
from medserver.processing.inputs import batched
from medserver.processing.outputs import Check, read_identified

FIND_REFERENCES = "medserver.processing.commands.references:find_references"
UIDS_AT_A_TIME = 500


def written(place: Place) -> list[Path]:
    """Return the files that are results.

    Raises
    ------
    ObjectNotReadable
        One is a link, a folder, a pipe, or has another name elsewhere.
    """
    paths = list(dicom_files(place.outputs))
    for path in paths:
        if path.is_symlink() or not path.is_file() or path.stat().st_nlink > 1:
            raise ObjectNotReadable(f"output {path.name[:64]} is not a file of its own")
    return paths


def examine(
    node: Node, place: Place, given: Given, inputs: Sequence[DerivedInstance], unless: Callable[[], bool]
) -> None:
    """Check all results.

    Parameters
    ----------
    node : Node
        Where they are to be registered.
    place : Place
        The folders.
    given : Given
        What they were made of.
    inputs : sequence of DerivedInstance
        The same.
    unless : callable
        Tells whether nobody wants it any longer.

    Raises
    ------
    ObjectNotReadable
        One cannot come in.
    """
    paths = written(place)
    check, own = Check(_with_series(inputs, given)), set()
    for path in paths:
        try:
            with path.open("rb") as file:
                meta, header = read_identified(file)
        except (NotPart10, RequestError, TransferSyntaxNotSupported) as error:
            raise ObjectNotReadable(f"output {path.name}: {error}") from error
        made = check.of(meta, header)
        if patient_of(header) not in given.patients:
            raise ObjectNotReadable(f"output {made.sop_instance_uid} is of another patient than the inputs")
        own.add(made.sop_instance_uid)
    known = own | {one.sop_instance_uid for one in inputs}
    unknown = _references(node, place, place.outputs, paths, unless) - known
    unknown -= _stored(node, unknown)
    if unknown:
        unknown -= _references(node, place, place.inputs, dicom_files(place.inputs), unless)
    if unknown:
        raise ObjectNotReadable(f"an output refers to instance {min(unknown)}, which nobody knows")


def _with_series(inputs: Iterable[DerivedInstance], given: Given) -> list[DerivedInstance]:
    """Return the inputs with their series, which a request for a whole study does not name."""
    series = {header.sop_instance_uid: header.values["series_instance_uid"] or "" for header in given.headers}
    return [
        DerivedInstance(
            one.sop_instance_uid, one.sop_class_uid, one.study_instance_uid,
            one.series_instance_uid or series.get(one.sop_instance_uid, ""),
        )
        for one in inputs
    ]  # fmt: skip


def _references(
    node: Node, place: Place, folder: Path, paths: Sequence[Path], unless: Callable[[], bool]
) -> set[str]:
    """Return the SOP Instance UIDs that some files refer to; they are read where nonsense does no harm."""
    names, found = place.work.parent / "names.json", place.work.parent / "references.json"
    names.write_text(json.dumps([str(path.relative_to(folder)) for path in paths]), encoding="utf-8")
    node.processors.run(FIND_REFERENCES, str(folder), str(names), str(found), unless=unless)
    return set(json.loads(found.read_text(encoding="ascii")))


def _stored(node: Node, uids: Iterable[str]) -> set[str]:
    wanted = sorted(uids)
    stored: set[str] = set()
    for some in batched(wanted, UIDS_AT_A_TIME):
        stored.update(node.index.instances(some))
    return stored
