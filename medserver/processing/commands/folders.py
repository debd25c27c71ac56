"""What an external program finds in its folders, and leaves there: as modules of mercure expect it.

The objects are files ``SERIES#INSTANCE.dcm`` in the folder ``in``, with a ``task.json`` beside them that says what is
to be done; a ``result.json`` in the folder ``out`` is what the program says of its work.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medserver import __version__
from medserver.archive.header import Header
from medserver.errors import MixedObjectSet, ObjectTypeNotSupported
from medserver.processing.outputs import read_identified
from medserver.processing.parameters import Values
from medserver.processing.types import ProcessingType

TASK, RESULT = "task.json", "result.json"

SEPARATOR = "#"
"""Between Series and SOP Instance UID in the names of files: modules of mercure see by it what is of one series."""

RESULT_SIZE_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Given:
    """What a program is given.

    Parameters
    ----------
    headers : tuple of Header
        Of each object; at least one.
    """

    headers: tuple[Header, ...]

    @property
    def patients(self) -> set[tuple[str, str]]:
        """Patient ID and its issuer, of each patient."""
        return {patient_of(header) for header in self.headers}

    @property
    def first(self) -> Mapping[str, str | None]:
        """The attributes of one of the objects."""
        return self.headers[0].values


def patient_of(header: Header) -> tuple[str, str]:
    """Return Patient ID and its issuer."""
    return header.values["patient_id"] or "", header.values["issuer_of_patient_id"] or ""


def arrange(kind: ProcessingType, folder: Path) -> Given:
    """Give the files of a folder the names that they have in mercure. Objects that the type does not take are removed.

    Raises
    ------
    MixedObjectSet
        They are of several patients, or of several series where one is processed.
    ObjectTypeNotSupported
        The type takes none of them.
    """
    headers = []
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            _, header = read_identified(file)
        if kind.modalities and header.values["modality"] not in kind.modalities:
            path.unlink()
            continue
        path.rename(folder / f"{header.values['series_instance_uid']}{SEPARATOR}{header.sop_instance_uid}.dcm")
        headers.append(header)
    given = Given(tuple(headers))
    if not headers:
        raise ObjectTypeNotSupported(f"{kind.name} takes objects of {', '.join(kind.modalities)}, and there is none")
    if len(given.patients) > 1:
        raise MixedObjectSet("the objects are of several patients")
    series = {header.values["series_instance_uid"] for header in headers}
    if kind.scope == "series" and len(series) > 1:
        raise MixedObjectSet(f"{kind.name} takes one series at a time, and there are {len(series)}")
    return given


def write_task(
    folder: Path, kind: ProcessingType, parameters: Mapping[str, Values], workitem_uid: str, ae_title: str, given: Given
) -> None:
    """Write the task into the folder of the objects, with the structure that mercure gives it.

    Parameters
    ----------
    folder : Path
        The folder.
    kind : ProcessingType
        The type.
    parameters : Mapping
        The values of all its parameters.
    workitem_uid : str
        The SOP Instance UID of the work item.
    ae_title : str
        That of this node.
    given : Given
        The objects.
    """
    first = given.first
    of_series = kind.scope == "series"
    uid = first["series_instance_uid"] if of_series else first["study_instance_uid"]
    command = kind.command
    module = {"docker_tag": command.image if command else "", "settings": {}, "contact": "", "comment": kind.meaning}
    task = {
        "id": workitem_uid,
        "info": {
            "action": "process",
            "uid": uid,
            "uid_type": "series" if of_series else "study",
            "triggered_rules": "",
            "applied_rule": "",
            "patient_name": first["patient_name"] or "",
            "mrn": first["patient_id"] or "",
            "acc": first["accession_number"] or "",
            "sender_address": "",
            "mercure_version": f"medserver {__version__}",
            "mercure_appliance": ae_title,
            "mercure_server": socket.gethostname(),
        },
        "dispatch": {},
        "process": {
            "module_name": kind.name,
            "module_config": module,
            "settings": dict(parameters),
            "retain_input_images": False,
            "output": None,
        },
        "study": {} if of_series else {"study_uid": first["study_instance_uid"]},
        "nomad_info": None,
    }
    (folder / TASK).write_text(json.dumps(task, indent=1), encoding="utf-8")


def read_result(folder: Path) -> dict[str, object] | None:
    """Return what a program says of its work; None if it says nothing that can be understood."""
    try:
        descriptor = os.open(folder / RESULT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        text = file.read(RESULT_SIZE_MAX_BYTES + 1)
    if len(text) > RESULT_SIZE_MAX_BYTES:
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def make_removable(folder: Path) -> None:
    """Let this user remove all below a folder, whatever a program has made of the permissions."""
    for directory, folders, _ in os.walk(folder):
        for name in folders:
            with suppress(OSError):
                if not os.path.islink(os.path.join(directory, name)):
                    os.chmod(os.path.join(directory, name), 0o700)


def dicom_files(folder: Path) -> Sequence[Path]:
    """Return what a program has written under a name that ends in ``.dcm``, files and others, in the order of names."""
    found = []
    for directory, folders, files in os.walk(folder):
        found += [Path(directory, name) for name in (*files, *folders) if name.endswith(".dcm")]
    return sorted(found)
