"""The conformance statement says all that the tables say, in the layout of PS3.2 N."""

from __future__ import annotations

import json

import pytest
from docutils import nodes

from medserver import conformance
from medserver.cli.model import MODELS
from medserver.conformance.matching_keys import kinds_of_matching, tag_text
from medserver.conformance.printing import NAMES
from medserver.conformance.roles import USED_SOP_CLASSES
from medserver.config.options import OPTIONS
from medserver.delivery import notifying, performed_steps
from medserver.dicom import uids
from medserver.dicom.acquisition import units
from medserver.dicom.attributes import ATTRIBUTES, EVERY_LEVEL, Attribute
from medserver.dicom.matching import (
    PersonNameMatch,
    Range,
    SequenceMatch,
    SingleValue,
    UIDList,
    WildCard,
    parse_key,
)
from medserver.errors import IdentifierMismatch
from medserver.processing.types import TYPES
from medserver.scu import workitems
from medserver.printing.attributes import FILM_BOX, FILM_SESSION, IMAGE_BOX
from medserver.services.printing.statuses import STATUSES
from medserver.services.registry import SERVICES
from medserver.services.responses import ANSWERS, operation_name
from tests.documents import parse, sections, tables
from tests.failures import Failures
from tests.peers.command_line import invoke
from tests.workitems.test_outcomes import CELLS

CHAPTERS = {
    "1 Overview": [
        "1.1 Content and Transfer",
        "1.2 DIMSE Services",
        "1.3 DICOM Web Services",
        "1.4 Media Services",
        "1.5 Real-Time Video Services",
        "1.6 De-identification Profiles",
        "1.7 Specific Character Sets",
    ],
    "2 Table of Contents": [],
    "3 Introduction": [
        "3.1 Revision History",
        "3.2 Audience",
        "3.3 Remarks",
        "3.4 Terms and Definitions",
        "3.5 Abbreviations",
        "3.6 References",
    ],
    "4 Implementation Model": [
        "4.1 Application Entities and Data Flow",
    ],
    "5 Service and Interoperability Description": [
        "5.1 Mapping of Services to Application Entities",
        "5.2 DIMSE Services",
        "5.3 DICOM Web Services",
        "5.4 Media Services",
        "5.5 Real-Time Video Services",
        "5.6 Cross-Service Considerations",
        "5.7 Specific Character Sets",
    ],
    "6 Configuration": [
        "6.1 General Configuration Parameters",
        "6.2 Configuration of DIMSE Services",
        "6.3 Configuration of DICOM Web Services",
        "6.4 Configuration of Media Storage Services",
        "6.5 Configuration of Real-Time Video Services",
        "6.6 Configuration of Audit Trail",
    ],
    "7 Network and Media Communication Details": [
        "7.1 General",
        "7.2 Specifications",
        "7.3 Status Codes",
    ],
    "8 Security": [
        "8.1 Introduction",
        "8.2 External Network Requirements",
        "8.3 TCP Port Configuration",
        "8.4 DICOM Security Profiles Support",
        "8.5 User Identity Negotiation Support",
        "8.6 Web Services Security Features",
        "8.7 Other Security Features",
    ],
    "A.A Information Object Definitions": [],
    "A.B Structured Report Content Encoding": [],
    "A.C Security Details": [],
    "A.D Mapping of Attributes": [],
    "A.E Code Set Usage": [],
}
"""The chapters of PS3.2 N and the sections of each."""


@pytest.fixture(scope="module")
def document() -> nodes.document:
    """Give what the command prints, parsed: any warning is an error."""
    printed = invoke("conformance")
    assert printed.exit_code == 0, printed.output
    return parse(printed.output)


@pytest.fixture(scope="module")
def facts() -> dict:
    """Give what the command prints for machines."""
    printed = invoke("conformance", "--json")
    assert printed.exit_code == 0, printed.output
    return json.loads(printed.output)


def column(document: nodes.document, title: str, name: str) -> list[str]:
    header, *rows = tables(document)[title]
    return [row[header.index(name)] for row in rows]


def test_chapters_are_those_of_the_annex(document: nodes.document) -> None:
    found = {title: list(below) for title, below in sections(document).items()}
    assert list(found) == list(CHAPTERS)
    assert found == CHAPTERS


def test_every_sop_class_is_stated_with_its_roles(document: nodes.document, facts: dict) -> None:
    shown = {}
    for title in ("Storage SOP classes", "SOP classes of the other services"):
        _, *rows = tables(document)[title]
        shown |= {uid: (scu, scp) for _, uid, scu, scp in rows}
    offered = {uid for service in SERVICES for uid in service.sop_classes}
    used_only = {one["uid"] for one in facts["used_only"]}
    assert shown.keys() == offered | used_only == offered | USED_SOP_CLASSES
    assert {uid for uid, (_, scp) in shown.items() if scp == "Y"} == offered
    assert {uid for uid, (scu, _) in shown.items() if scu == "Y"} == USED_SOP_CLASSES
    classes = [one for service in facts["services"] for one in service["sop_classes"]]
    stated = {one["uid"]: ("NY"[one["scu"]], "NY"[one["scp"]]) for one in classes}
    assert stated | dict.fromkeys(used_only, ("Y", "N")) == shown


def test_what_commands_and_rules_use_is_stated() -> None:
    used = {uid for model in MODELS.values() for uid in (model.find, model.move, model.get)}
    used |= {uids.VERIFICATION, uids.STORAGE_COMMITMENT_PUSH_MODEL}
    used |= {performed_steps.SOP_CLASS_UID, notifying.SOP_CLASS_UID}
    used |= {one.abstract_syntax for one in (workitems.PUSH, workitems.PULL, workitems.WATCH, workitems.EVENT_PROPOSAL)}
    assert USED_SOP_CLASSES == used | uids.STORAGE_SOP_CLASSES.keys()


def test_every_service_is_stated(document: nodes.document) -> None:
    names = [service.name for service in SERVICES]
    assert column(document, "Network services", "Service") == names
    assert column(document, "Network services", "Right in [ae NAME]") == [one.right for one in SERVICES]
    assert column(document, "Presentation contexts accepted", "Service") == names


def test_every_transfer_syntax_is_stated(document: nodes.document, facts: dict) -> None:
    expected = [syntax.uid for syntax in uids.TRANSFER_SYNTAXES]
    assert column(document, "Transfer syntaxes", "UID") == expected
    assert set(column(document, "Transfer syntaxes", "Storage, as received")) == {"Y"}
    assert [one["uid"] for one in facts["transfer_syntaxes"]] == expected
    cells = zip(expected, column(document, "Transfer syntaxes", "Other services"), strict=True)
    assert {uid for uid, cell in cells if cell == "Y"} == set(SERVICES[0].transfer_syntaxes)


def test_every_codec_is_stated(document: nodes.document, facts: dict) -> None:
    """What is received encapsulated is in the table of the codecs, or in that of what is not decoded."""
    decoded = column(document, "Codecs", "Transfer syntax")
    left = column(document, "Pixels that are not decoded", "UID")
    assert sorted([*decoded, *left]) == sorted(one.uid for one in uids.TRANSFER_SYNTAXES if one.encapsulated)
    assert [one["transfer_syntax"] for one in facts["codecs"]] == decoded
    encoded = [one for one in facts["codecs"] if one["encoders"]]
    assert {len(one["encoded"]) > 0 for one in encoded} == {True}
    kinds = [", ".join(form["photometric_interpretations"]) for one in encoded for form in one["encoded"]]
    assert column(document, "Images that are compressed", "Photometric Interpretation") == kinds


def test_every_attribute_is_stated(document: nodes.document, facts: dict) -> None:
    shown = [
        (keyword, tag, vr)
        for title, (_, *rows) in tables(document).items()
        if title.startswith("Keys ")
        for keyword, tag, vr, *_ in rows
    ]
    assert shown == [(row.keyword, tag_text(row.tag), row.vr) for row in ATTRIBUTES]
    assert [one["keyword"] for one in facts["keys"]] == [row.keyword for row in ATTRIBUTES]


def test_every_condition_of_acquisition_is_stated_with_its_unit(document: nodes.document, facts: dict) -> None:
    header, *rows = tables(document)["Conditions of acquisition, keys of the SERIES and IMAGE level"]
    shown = {row[header.index("Attribute")]: row[header.index("Unit")] for row in rows}
    assert shown["KVP"] == "kV"
    assert shown["ConvolutionKernel"] == "none"
    assert shown == {one["keyword"]: one["unit"] or "none" for one in facts["acquisition_keys"]}
    kept = {attribute.keyword for attribute in ATTRIBUTES}
    assert shown.keys() == {keyword for keyword in units() if keyword not in kept}


def test_every_status_is_stated(document: nodes.document, facts: dict) -> None:
    expected = [answer.code for answer in ANSWERS]
    assert [int(code, 16) for code in column(document, "Status codes returned", "Code")] == expected
    assert [int(one["code"], 16) for one in facts["statuses"]] == expected
    assert all(column(document, "Status codes returned", "When"))
    final = [one for one in facts["statuses"] if one["error_id"]]
    assert [(one["code"], one["operations"], one["error_id"]) for one in final] == [("0x0110", ["N-SET"], "0xA710")]


def test_every_outcome_of_work_items_is_stated(document: nodes.document) -> None:
    header, *rows = tables(document)["What is answered, by the state of the item"]
    stated = {(word, given, state): code for word, given, *codes in rows for state, code in zip(header[2:], codes)}
    words = {"update": "N-SET", "request cancel": "request cancel"}
    for wanted, state, given, code in CELLS:
        assert stated[words.get(wanted, f"to {wanted}"), given.value, state] == f"{code:04X}"
    assert sum(code != "-" for code in stated.values()) == len(CELLS)


def test_every_type_of_processing_is_stated(document: nodes.document) -> None:
    stated = column(document, "Types of processing, Coding Scheme Designator 99MEDSERVER", "Code Value")
    assert stated == [kind.name for kind in TYPES]
    _, *rows = tables(document)["Parameters of processing"]
    named = [(kind, name) for kind, name, *_ in rows if kind != "all"]
    assert named == [(kind.name, one.name) for kind in TYPES for one in kind.parameters]
    assert {name for kind, name, *_ in rows if kind == "all"} == {"outputs", "then", "inform"}


def test_every_option_is_stated(document: nodes.document, facts: dict) -> None:
    shown = {
        (section.strip("[]").removesuffix(" NAME"), option, default)
        for title in ("General parameters", "Storage and Query/Retrieve", "Remote AEs")
        for section, option, _, _, default, _ in tables(document)[title][1:]
    }
    assert shown == {(option.section, option.name, option.default or "") for option in OPTIONS}
    listed = [(one["section"], one["name"]) for one in facts["options"]]
    assert listed == [(option.section, option.name) for option in OPTIONS]


def test_the_kinds_of_matching_are_those_of_the_parser() -> None:
    with Failures() as failures:
        for attribute in ATTRIBUTES:
            if attribute.level != EVERY_LEVEL:  # which is never a key that is matched
                with failures.of(attribute.keyword):
                    kinds_are_those_of_the_parser(attribute)


def kinds_are_those_of_the_parser(attribute: Attribute) -> None:
    found = set()
    for value in ("1", "A*", "1.2\\1.3", "20260101-", "1200-", [{"CodeValue": "1"}]):
        try:
            found.add(type(parse_key(attribute.keyword, attribute.vr, value)))
        except IdentifierMismatch:
            continue
    stated = kinds_of_matching(attribute)
    assert ("list of UID" in stated) == (UIDList in found)
    assert ("range" in stated) == (Range in found)
    assert ("sequence" in stated) == (SequenceMatch in found)
    assert ("wild card" in stated) == bool({WildCard, PersonNameMatch} & found)
    assert ("without regard to case" in stated) == (PersonNameMatch in found)
    assert ("single value" in stated) == bool({SingleValue, UIDList, Range, PersonNameMatch} & found)


def test_text_of_tables_is_no_markup() -> None:
    table = conformance.Table("*T_*", ("A|", "B"), (("`x`", "a_b \\ c_"), ("", "[1]_"), ("%", "=")))
    document = parse(conformance.to_restructured_text(conformance.Section("", "Title", (table,))))
    assert tables(document) == {"*T_*": [["A|", "B"], ["`x`", "a_b \\ c_"], ["", "[1]_"], ["%", "="]]}


def test_every_status_of_print_management_is_stated(document: nodes.document) -> None:
    _, *rows = tables(document)["Statuses of Print Management"]
    assert [tuple(row[:3]) for row in rows] == [
        (NAMES[row.sop_class_uid], operation_name(row.operation), f"{row.code:04X}") for row in STATUSES
    ]


def test_every_attribute_of_print_management_is_stated(document: nodes.document) -> None:
    found = tables(document)
    for what, table in (("film sessions", FILM_SESSION), ("film boxes", FILM_BOX), ("image boxes", IMAGE_BOX)):
        _, *rows = found[f"Attributes of {what}"]
        assert [row[0] for row in rows] == [row.keyword for row in table]
        assert all(row[1] for row in rows)
