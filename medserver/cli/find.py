"""``medserver find``: what does a remote AE have (C-FIND, PS3.4 C.4.1)?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import click
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from medserver.cli.invocation import echo_json, echo_table, json_option
from medserver.cli.model import Target, target_options
from medserver.cli.peer import Peer, failure, peer_argument
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.dicom import status
from medserver.dicom.character_sets import UNICODE_UTF_8
from medserver.scu import query

USUAL_RETURN_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "PatientID", "PatientName", "StudyDate", "AccessionNumber", "ModalitiesInStudy", "StudyDescription",
        "NumberOfStudyRelatedInstances", "StudyInstanceUID",
    ),
    "SERIES": (
        "SeriesNumber", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesInstanceUID",
    ),
    "IMAGE": ("InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
})  # fmt: skip
"""What is asked for when the command line names no return key."""

USUAL_RETURN_KEYS_OF_MODELS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "hanging-protocol": ("HangingProtocolName", "HangingProtocolDescription"),
    "color-palette": ("ContentLabel", "ContentDescription"),
    "generic-implant-template": ("Manufacturer", "ImplantName", "ImplantPartNumber"),
    "implant-assembly-template": ("ImplantAssemblyTemplateName", "Manufacturer"),
    "implant-template-group": ("ImplantTemplateGroupName", "ImplantTemplateGroupDescription"),
    "defined-procedure-protocol": ("ProtocolName", "EquipmentModality"),
    "protocol-approval": (),
})
"""The same for a model of objects that belong to no patient, besides their UIDs."""


@click.command()
@peer_argument
@target_options
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Cancel the query after N matches.")
@click.option("--dataset", "as_dataset", is_flag=True, help="Show every element of each match.")
@json_option
def command(peer: Peer, target: Target, limit: int | None, as_dataset: bool, as_json: bool) -> None:
    """Query PEER and show the matches as a table, or as DICOM JSON (PS3.18 F).

    PEER is the name of an [ae NAME] entry or AE@host:port.

    For example: medserver find PACS -k PatientName=DOE* -k StudyDate=20260101- -k StudyDescription
    """
    tags = _with_usual_return_keys(target)
    matches = _matches(peer, target, limit)
    if as_json:
        echo_json([_described(match) for match in matches])
    elif as_dataset:
        for match in matches:
            click.echo("\n".join(printable(line) for line in str(match).splitlines()))
            click.echo("")
    else:
        rows = [tuple(_cell(match, tag) for tag in tags) for match in matches]
        if rows:
            echo_table(tuple(keyword_for_tag(tag) or str(tag) for tag in tags), rows)
        click.echo(f"{count_in_words(len(rows), 'match')}", err=True)


def _with_usual_return_keys(target: Target) -> list[BaseTag]:
    """Ask for the usual attributes if for none by name; return the columns of the table."""
    tags = list(target.tags)
    if target.only_matching:
        if target.model.storage_sop_classes:
            usual = (*USUAL_RETURN_KEYS_OF_MODELS[target.model.name], "SOPClassUID", "SOPInstanceUID")
        else:
            usual = USUAL_RETURN_KEYS[target.level]
        for keyword in usual:
            if keyword not in target.identifier:
                setattr(target.identifier, keyword, None)
            if Tag(keyword) not in tags:
                tags.append(Tag(keyword))
    return [tag for tag in tags if tag != Tag("SpecificCharacterSet")]


def _matches(peer: Peer, target: Target, limit: int | None) -> Iterator[Dataset]:
    """Yield the identifiers of the matches.

    Raises
    ------
    RemoteError
        The remote AE cannot be reached, or ends the query with anything but success.
    """
    sop_class_uid = target.model.find
    with peer.associated([query.proposal(sop_class_uid)], target.extended(sop_class_uid)) as association:
        if target.relational and not query.relational_agreed(association, sop_class_uid):
            click.echo(f"{peer.address} did not agree to relational queries", err=True)
        count, unsupported = 0, False
        for response in query.find(association, sop_class_uid, target.identifier, matches_max=limit):
            if status.is_pending(response.code):
                count += 1
                unsupported = unsupported or response.code == status.PENDING_WARNING
                yield response.identifier if response.identifier is not None else Dataset()
        if unsupported:
            click.echo(f"{peer.address} does not support all of these keys", err=True)
        cancelled = response.code == status.CANCEL and count == limit
        if response.code != status.SUCCESS and not cancelled:
            raise failure(peer, "C-FIND", response)


def _described(match: Dataset) -> dict[str, object]:
    """Return a match in the DICOM JSON model, whose text is UTF-8 (PS3.18 F.2.1)."""
    if "SpecificCharacterSet" in match:
        match.SpecificCharacterSet = UNICODE_UTF_8
    return match.to_json_dict(suppress_invalid_tags=True)


def _cell(match: Dataset, tag: BaseTag) -> str:
    """Return what the table shows of one attribute; empty if it is not in the match."""
    return printable(_text(match[tag]), CELL_LENGTH_MAX) if tag in match else ""


def _text(element: DataElement) -> str:
    value = element.value
    if element.VR == "SQ":
        return count_in_words(len(value), "item")
    if isinstance(value, (MultiValue, list, tuple)):
        return "\\".join(str(one) for one in value)
    return "" if value is None else str(value)
