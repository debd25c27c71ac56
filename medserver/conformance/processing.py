"""Section 5.2.3.4: the processing that the node performs itself, printed from the table of types."""

from __future__ import annotations

from medserver.conformance.document import Section, Table
from medserver.processing.codes import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT, SOURCE_IMAGE, Code
from medserver.processing.performing import LARGE_INSTANCES
from medserver.processing.requests import COMMON
from medserver.processing.types import TYPES
from medserver.workitems.follow_ups import OUR_SCHEME


def _in_words(code: Code) -> str:
    return f"{code.value}, {code.scheme}, {code.meaning}"


REQUESTS = (
    "An item whose Scheduled Workitem Code is one of these types is performed by the node. Each item of Scheduled "
    f"Processing Parameters Sequence has a concept name of the scheme {OUR_SCHEME} and the Value Type NUMERIC, TEXT or "
    "CODE; several values of a TEXT are separated by commas. Input Information names studies, series or instances that "
    "are stored, or can be retrieved (C-GET) from an AE of the configuration, by its Retrieve AE Title; of an instance "
    "it may name frames (Referenced Frame Number), if the type treats each frame or instance for itself or is montage. "
    "Output Destination names AE titles (DICOM Storage). Items are made by rules (``[processing NAME]``) and by "
    "``medserver processing run`` as well. A rule is not applied to what has gone through one of its types, nor to "
    "other results of this node, unless it names the AE title of the node as that of the sender.",
    "An item that cannot be performed becomes CANCELED, with a reason of PS3.16 CID 9300 or of the scheme "
    f"{OUR_SCHEME}. The same request of the same objects is answered with what it has made before, while that is "
    f"stored. Items of more than {LARGE_INSTANCES} instances are performed beside smaller ones.",
)

RESULTS = (
    "Results are stored before the item is COMPLETED, as new instances in new series of the same study, with UIDs that "
    "a repetition makes again, and sent to the Output Destinations after that. Output Information names them, with the "
    "AE title of the node. They have Image Type DERIVED, Derivation Description and Derivation Code Sequence, Source "
    f"Image Sequence (purpose {_in_words(SOURCE_IMAGE)}; in the functional groups of enhanced instances; without a "
    "purpose where a whole series is the source; with Referenced Frame Number where it is not all frames of an "
    "instance), and in Contributing Equipment Sequence who made the source "
    f"({_in_words(ACQUISITION_EQUIPMENT)}) and the node ({_in_words(PROCESSING_EQUIPMENT)}), with its version, the "
    "type, its version and all parameters. Patient, study and, where the geometry is that of the source, Frame of "
    "Reference are kept.",
)


def processing_section() -> Section:
    """Return section 5.2.3.4."""
    return Section("5.2.3.4", "Processing", (*REQUESTS, _types_table(), _parameters_table(), *RESULTS))


def _types_table() -> Table:
    rows = tuple(
        (kind.name, kind.meaning, kind.version, kind.scope, ", ".join(kind.modalities) or "any", kind.makes)
        for kind in TYPES
    )
    header = ("Code Value", "Code Meaning", "Version", "Of each", "Modalities", "Makes")
    return Table(f"Types of processing, Coding Scheme Designator {OUR_SCHEME}", header, rows)


def _parameters_table() -> Table:
    common = (("all", name, "", "", meaning) for name, meaning in COMMON.items())
    own = (
        (kind.name, one.name, one.default_text(), one.values_text(), one.meaning)
        for kind in TYPES
        for one in kind.parameters
    )
    header = ("Type", "Code Value", "Default", "Values", "Code Meaning")
    return Table("Parameters of processing", header, (*common, *own))
