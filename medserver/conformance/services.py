"""Chapter 5: what each service does."""

from __future__ import annotations

from medserver.conformance.commitment import commitment_section
from medserver.conformance.document import Section, Table
from medserver.conformance.matching_keys import keys_tables
from medserver.conformance.overview import NOT_SUPPORTED
from medserver.conformance.printing import printing_section
from medserver.conformance.roles import operations_of, sop_classes_table
from medserver.conformance.web import services_section
from medserver.conformance.workitems import workitem_section
from medserver.dicom.character_sets import SINGLE_BYTE_CHARACTER_SETS, UNICODE_UTF_8
from medserver.services.answer import DEFAULT_CHARACTER_SET
from medserver.services.registry import SERVICES

STORAGE_SCP = (
    "Level of support (PS3.4 B.4.1): Level 2 (Full). Every element that is received is kept, private ones "
    "included; the bytes of the data set are never changed. No coercion takes place.",
    "Success (0000) is answered when the bytes are flushed to disk (in the journal, or in a file of their own "
    "with its directory) and the row of the index is committed. Any other outcome is a failure status.",
    "The SOP Class UID and the SOP Instance UID of the data set must be those of the command, and the SOP "
    "class that of the presentation context; otherwise the status is A900. A data set whose later elements "
    "are damaged is stored as long as its identifying attributes can be read, however far back they stand (deflated: "
    "within its first 4 MiB). UIDs are taken that are made of digits and points and have 64 characters at most, also "
    "with leading zeros in a component; for others the status is 0117, or A900 where they stand in the data set only.",
    "An instance that is received again with the same bytes in the same transfer syntax is a success and "
    "stored once. With other bytes, ``duplicates`` of the configuration decides: keep (the first is "
    "current, the second a duplicate; success), replace (the second is current, the first a duplicate; success) "
    "or reject (0111).",
)

STORAGE_SCU = (
    "Instances are sent for a C-MOVE, a C-GET, by the rules of the configuration (``[route NAME]``) and by ``medserver "
    "send``. What a rule sends is sent again until it is answered with success or a warning: after failures of the "
    "association with pauses up to 5 minutes, after a failure status up to 20 times. With ``must_commit`` in the entry "
    "of the receiver storage commitment is requested of it as well, and what it does not commit to is sent again.",
    "For each SOP class the transfer syntaxes in which instances are stored, and those that ``transfer_syntaxes`` of "
    "the receiver's entry names, are proposed, each in a presentation context of its own, and one more with the "
    "uncompressed transfer syntaxes that they can be converted to. More than 128 presentation contexts are spread "
    "over several associations. A data set of odd length is sent with a null byte behind it.",
)

TRANSCODING = (
    "An instance goes out in the first of ``transfer_syntaxes`` of the receiver's entry that the receiver accepts and "
    "the instance can be brought into; else as it is stored, else in the first uncompressed transfer syntax that the "
    "receiver accepts, else compressed without loss (see the table of transfer syntaxes in 1.1). Every frame that is "
    "compressed is decoded again and compared; what cannot be represented, such as Pixel Cells with bits in use above "
    "Bits Stored, goes out in the next best transfer syntax. "
    "SOP Instance UID and all attributes but those that describe the encoding stay the same. "
    "An instance that the receiver takes in no possible transfer syntax is a failed sub-operation.",
)

FIND = (
    "Queries are answered in the Patient Root, Study Root and Patient/Study Only models, at every level of "
    "each. They are hierarchical unless relational queries were negotiated (PS3.4 C.5.1.1): then the "
    "unique keys of the levels above may be left out, and keys of lower levels are matched. Combined "
    "date-time matching is negotiable too; fuzzy matching of names, multiple value matching and timezone "
    "adjustment are not.",
    "Keys of the level of the query and of those above are matched and returned. At the IMAGE level every "
    "other attribute of the standard that stands before the pixel data is read from the stored header, matched and "
    "returned as well. Queries with another key are answered with FF01, and that key is returned without a value. So "
    "is a key whose stored value cannot be told in its VR (Rows with two values), with FF01 for that answer. "
    "Query/Retrieve Level is read in any case of letters.",
    "Of a sequence an answer has the items that match, each with the attributes that the item of the key names, at "
    "every level (PS3.4 C.2.2.2.6); whole items where the key has no item or an empty one. Private attributes are not "
    "matched; they are returned without a value, behind their creator, and not at all if the query does not name that. "
    "Timezone Offset From UTC is returned at the IMAGE level, without a value above it, and never matched. Group "
    "lengths, elements of the groups 0000 and 0002 and Data Set Trailing Padding are passed over. A value that is too "
    "long for the 16-bit length of its VR is cut: to whole values, or to whole characters of a single one.",
    "Conditions of acquisition (see the table) are keys at the SERIES level too: one instance of the series has to "
    "match all of them, and the different values of all its instances are returned, several values of an attribute "
    "whose multiplicity is 1 included. They are in the index some seconds after the instance was stored, before at the "
    "IMAGE level only. Those in the functional groups of enhanced objects are matched and returned as if they were "
    "attributes of the object, and are several values if they differ between frames.",
    "Only ``*`` and ``?`` are wild cards. Texts are compared with regard to case, names without regard to "
    "case and accents. A name key without ``=`` has to match one component group of the name. Several "
    "values in a key that is not a UID: one of them has to match; of Patient ID and Issuer of Patient ID they are "
    "refused with A900. An attribute without a value matches no "
    "key but the universal one.",
    "Retrieve AE Title is always the AE title of the node, Instance Availability always ONLINE; neither is "
    "matched. A C-CANCEL is looked for between answers.",
)

PERFORMED_STEPS = (
    "The node is an SCP of Modality Performed Procedure Step (N-CREATE, N-SET) and of its retrieve (N-GET). A step "
    "begins IN PROGRESS; without one of the attributes that PS3.4 table F.7.2-1 has as type 1 it is refused (0120, "
    "0121), with another status too (0106), and so is a second one with the same UID (0111). It changes until it is "
    "COMPLETED or DISCONTINUED, for which it needs its end date and time and a Performed Series Sequence, of which "
    "each item has a Series Instance UID and a Protocol Name (0121); then an N-SET is refused (0110, Error ID A710, "
    "Error Comment as in PS3.4 F.7.2.2.4), and so is one without Modification List (0121). Attributes that must not "
    "change are left as they are, with the warning 0107. A list of attributes may have 8 MiB and 100,000 elements, "
    "which some 33,000 references are; a longer one is refused (0213), and one that cannot be read (0110). Steps are "
    "kept in the index, with the studies of their Scheduled Step Attributes Sequence.",
    "By the rules of the configuration (``[route NAME]`` with ``send`` = conditions or both) the node is an SCU as "
    "well: a step that is final is created in progress at the other AE (N-CREATE) and set to its end (N-SET). One "
    "that is there already (0111) is set only.",
)

AVAILABILITY = (
    "By the rules of the configuration (``[route NAME]`` with ``send = availability``) the node is an SCU: it "
    "announces instances that it has stored, in one N-CREATE for each study of those that are announced together, "
    "with the attributes of PS3.4 table R.3.2-1. Instance Availability is ONLINE, Retrieve AE Title that of the node. "
    "The Referenced Performed Procedure Step Sequence names the steps of the study that the node knows, and may be "
    "empty. After a failure status the notification is repeated up to 20 times.",
)

COLLECTION = (
    "For each ``[poll NAME]`` of the configuration the node queries an AE periodically in the Study Root model, "
    "hierarchically: STUDY with a range of Study Dates and the keys of the entry, then SERIES and IMAGE of each. "
    "Specific Character Set is in the identifier if the keys need more than the default repertoire. After a failure "
    "status that follows matches, after A700 or FE00, and after a round number of matches (50 or more), halves of "
    "the range are queried, down to a day. Instances that the node lacks, and were not deleted there, are retrieved at "
    "the IMAGE level with lists of at most 200 SOP Instance UIDs, by C-GET, or by C-MOVE to the node, on associations "
    "of their own.",
)

RETRIEVE = (
    "The unique key of the level must be given: one value, or a list of UIDs. The unique keys of the "
    "levels above must be given unless relational retrieval was negotiated, and have one value each; so has Patient ID "
    "at its own level. What has more is refused with A900. In the models with a PATIENT level Issuer of Patient ID "
    "counts at every level, and has one value too; other keys are ignored. A retrieve at the PATIENT level is refused "
    "with A900 when several patients have the Patient ID (and issuer): nothing is sent of any of them.",
    "Composite Instance Root Retrieve has the levels IMAGE and FRAME. At the level FRAME an identifier has one SOP "
    "Instance UID and one of Simple Frame List, Calculated Frame List and Time Range (PS3.4 Y.3.2); relational "
    "retrieval changes nothing there. Frames that the instance does not have are left out. The new instance (PS3.4 "
    "Y.3.3) is in the transfer syntax of the stored one, its frames not decoded; it is transcoded for a receiver as "
    "any other, and not stored. The same request gives the same SOP Instance UID and the same data set as long as the"
    " stored object, the AE title and the version of the node stay. Frame Time, Frame Time Vector, Frame Delay, "
    "vectors that Frame Increment Pointer names, numbers of frames, increments of positioners and tables, planes of "
    "overlays and doses and the Per-Frame Functional Groups Sequence are those of its frames; TILED_FULL becomes "
    "TILED_SPARSE. Private attributes of the outermost data set, curves, icons, digital signatures and attributes of "
    "concatenations are left out. Videos and JPEG 2000 Part 2 multi-component are refused with AA02. Query/Retrieve "
    "View is not supported.",
    "Composite Instance Retrieve Without Bulk Data leaves out the attributes of PS3.4 Z.1.3 and nothing else: private "
    "attributes are sent. It takes any transfer syntax of the SOP class, Deflated too; an instance that cannot be "
    "read to its end is a failed sub-operation. An AE that may get can propose itself as the SCP of any private SOP "
    "class (a UID outside 1.2.840.10008), to receive what others have stored of it.",
    "A C-MOVE goes to AEs only that the configuration knows with an address and a port. Pending responses "
    "with the numbers of sub-operations are sent at the beginning and then at most 20 times a second. "
    "Numbers above 65535 are reported as 65535, the sub-operations are performed all the same; the Failed "
    "SOP Instance UID List holds at most the first 1000. A C-CANCEL is looked for between sub-operations.",
)

NON_PATIENT = (
    "Hanging protocols, color palettes, implant templates, defined procedure protocols and protocol approvals are "
    "stored as everything else is. Their queries have one level, without Query/Retrieve Level: every attribute of the "
    "standard is a key, matched and returned from the stored object; SOP Instance UID and SOP Class UID from the "
    "index. A retrieve names SOP Instance UIDs, one or a list. The models of patients and studies leave these objects "
    "out; an object of another class with the UID of one of these SOP classes as that of its study or series is "
    "refused (A900).",
)


def service_description() -> Section:
    """Return chapter 5."""
    return Section(
        "5",
        "Service and Interoperability Description",
        (),
        (
            Section(
                "5.1", "Mapping of Services to Application Entities", ("The one AE has all services.",)
            ),
            Section(
                "5.2",
                "DIMSE Services",
                (_operations_table(),),
                (
                    Section("5.2.1", "Basic Worklist Management Service", (NOT_SUPPORTED,)),
                    Section("5.2.2", "Modality Performed Procedure Step Service", PERFORMED_STEPS),
                    workitem_section(),
                    Section("5.2.4", "Instance Availability Notification Service", AVAILABILITY),
                    _storage(),
                    commitment_section(),
                    _query_retrieve(),
                    printing_section(),
                ),
            ),
            services_section("5.3"),
            Section("5.4", "Media Services", (NOT_SUPPORTED,)),
            Section("5.5", "Real-Time Video Services", (NOT_SUPPORTED,)),
            _cross_service(),
            _character_sets(),
        ),
    )


def _operations_table() -> Table:
    rows = tuple((service.name, operations_of(service), service.clause) for service in SERVICES)
    return Table("DIMSE operations as SCP", ("Service", "Operations", "Standard"), rows)


def _storage() -> Section:
    return Section(
        "5.2.5",
        "Storage Service",
        (),
        (
            Section(
                "5.2.5.1",
                "SCU of the Storage SOP Classes",
                STORAGE_SCU,
                (Section("5.2.5.1.1", "Transcoding of Transfer Syntaxes", TRANSCODING),),
            ),
            Section("5.2.5.2", "SCP of the Storage SOP Classes", STORAGE_SCP),
        ),
    )


def _query_retrieve() -> Section:
    services = [one for one in SERVICES if one.name.startswith("Query/Retrieve")]
    return Section(
        "5.2.7",
        "Query/Retrieve Service Class",
        (sop_classes_table("SOP classes of Query/Retrieve", *services),),
        (
            Section(
                "5.2.7.1",
                "SCU of the Query/Retrieve SOP Classes",
                (
                    "``medserver find``, ``move`` and ``get`` send what the command line says. Relational "
                    "queries are proposed if the command line asks for them.",
                    *COLLECTION,
                ),
            ),
            Section(
                "5.2.7.2",
                "SCP of the Query/Retrieve SOP Classes",
                (),
                (
                    Section("5.2.7.2.1", "C-FIND", (*FIND, *keys_tables())),
                    Section("5.2.7.2.2", "C-MOVE and C-GET", RETRIEVE),
                ),
            ),
            _objects_of_no_patient(),
        ),
    )


def _objects_of_no_patient() -> Section:
    services = [one for one in SERVICES if one.name.startswith("Non-patient objects")]
    return Section(
        "5.2.7.3",
        "Query/Retrieve of Objects that Belong to No Patient",
        (*NON_PATIENT, sop_classes_table("SOP classes of objects that belong to no patient", *services)),
    )


def _cross_service() -> Section:
    return Section(
        "5.6",
        "Cross-Service Considerations",
        (
            "What a C-STORE was answered with success is found by the next C-FIND. Patients are identified "
            "by Patient ID and Issuer of Patient ID; each study without Patient ID has a patient of its own. A second "
            "person under the same identifiers, a study that arrives under another patient and a Series Instance UID "
            "in two studies are recorded as conflicts and not merged.",
        ),
    )


def _character_sets() -> Section:
    character_sets = ", ".join(one for one in SINGLE_BYTE_CHARACTER_SETS if one != DEFAULT_CHARACTER_SET)
    return Section(
        "5.7",
        "Specific Character Sets",
        (
            "Stored data sets keep the character set in which they came. For the index and for queries "
            "every character set of PS3.3 C.12.1.1.2 is read, code extensions included; misspelt terms are understood "
            "(ISO IR 100, ISO\\_IR 149, UTF-8).",
            "Specific Character Set (0008,0005) is in every answer to a C-FIND. It is the one of the query "
            f"if that is a single one and can represent the answer; else {DEFAULT_CHARACTER_SET}, or the "
            f"first of {character_sets} that can, or "
            f"{UNICODE_UTF_8}.".replace("_", "\\_"),
        ),
    )
