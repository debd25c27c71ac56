from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import IGNORE
from pydicom.uid import UID, UID_dictionary
from pynetdicom import AllStoragePresentationContexts, sop_class

from medserver.dicom import uids
from medserver.dicom.non_patient import NON_PATIENT_MODELS, NON_PATIENT_SOP_CLASSES
from medserver.errors import TransferSyntaxNotSupported

OMITTED_TRANSFER_SYNTAXES = {
    "JPIPReferenced",
    "JPIPReferencedDeflate",
    "JPIPHTJ2KReferenced",
    "JPIPHTJ2KReferencedDeflate",
    "SMPTEST211020UncompressedProgressiveActiveVideo",
    "SMPTEST211020UncompressedInterlacedActiveVideo",
    "SMPTEST211030PCMDigitalAudio",
    "RFC2557MIMEEncapsulation",
    "XMLEncoding",
    "Papyrus3ImplicitVRLittleEndian",
}


@pytest.mark.parametrize("text", [
    "1.2", "0.0", "1.2.840.10008.1.2", "2.25.1", "1.0.10", "1." + "2" * 62, "1.02", "00.1", "1", "1..2", "1.2.", ".1.2",
])
def test_valid_uids(text):
    assert uids.is_valid_uid(text)


@pytest.mark.parametrize("text", [
    "", ".", "..", "...", "1.2 ", "1.2\x00", "1.2\n", "1.a", "1.-2", "../x", "1.２", "1/2", "1\\2", "1." + "2" * 63,
])
def test_invalid_uids(text):
    assert not uids.is_valid_uid(text)


@given(st.text(alphabet="0123456789./ \n", max_size=70))
def test_what_the_standard_permits_is_taken_and_names_no_other_file(text):
    if UID(text, validation_mode=IGNORE).is_valid and text == text.strip():
        assert uids.is_valid_uid(text)
    if uids.is_valid_uid(text):
        assert (Path("/folder") / text).resolve().parent == Path("/folder")


@pytest.mark.parametrize(("text", "problem"), [
    ("1.2.03", ""),
    ("", "there is no Transaction UID"),
    ("1" * 68, "the Transaction UID has 68 characters, more than 64"),
    ("1.2.3a", "the Transaction UID is not made of digits and points"),
])
def test_why_a_text_is_no_uid(text, problem):
    assert uids.uid_problem("Transaction UID", text) == problem


def test_new_uids_are_valid_and_differ():
    made = {uids.new_uid() for _ in range(100)}
    assert len(made) == 100
    assert all(uids.is_valid_uid(uid) and uid.startswith("2.25.") for uid in made)


def test_our_own_identity():
    assert uids.is_valid_uid(uids.IMPLEMENTATION_CLASS_UID)
    assert uids.is_valid_uid(uids.PRIVATE_INFORMATION_CREATOR_UID)
    assert len(uids.IMPLEMENTATION_VERSION_NAME) <= 16


def test_transfer_syntaxes_are_those_of_the_standard():
    known = {uid: row for uid, row in UID_dictionary.items() if row[1] == "Transfer Syntax"}
    ours = {syntax.uid: syntax for syntax in uids.TRANSFER_SYNTAXES}
    assert len(ours) == len(uids.TRANSFER_SYNTAXES)
    assert {known[uid][4] for uid in known.keys() - ours.keys()} == OMITTED_TRANSFER_SYNTAXES
    for uid, syntax in ours.items():
        name, _, _, retired, keyword = known[uid]
        assert (syntax.name, syntax.keyword, syntax.retired) == (name, keyword, retired == "Retired")


def test_encoding_agrees_with_pydicom():
    for syntax in uids.TRANSFER_SYNTAXES:
        uid = UID(syntax.uid)
        assert syntax.implicit_vr == uid.is_implicit_VR, syntax
        assert syntax.little_endian == uid.is_little_endian, syntax
        assert syntax.deflated == uid.is_deflated, syntax
        assert syntax.encapsulated == uid.is_encapsulated, syntax
        assert syntax.native == (not uid.is_encapsulated and not uid.is_deflated), syntax
        assert not (syntax.lossy and syntax.native), syntax


def test_lossless_is_what_the_names_say():
    encapsulated = [syntax for syntax in uids.TRANSFER_SYNTAXES if syntax.encapsulated]
    named = {
        syntax.keyword for syntax in encapsulated
        if "Lossless" in syntax.name and "Near-Lossless" not in syntax.name
    }
    not_named = {"EncapsulatedUncompressedExplicitVRLittleEndian", "DeflatedImageFrameCompression"}
    assert {syntax.keyword for syntax in encapsulated if syntax.lossless} == named | not_named


def test_transfer_syntax_by_uid():
    assert uids.transfer_syntax("1.2.840.10008.1.2").keyword == "ImplicitVRLittleEndian"
    with pytest.raises(TransferSyntaxNotSupported, match="1.2.3"):
        uids.transfer_syntax("1.2.3")


def test_storage_classes_hold_all_of_pynetdicom():
    assert uids.CURRENT_STORAGE_SOP_CLASSES.keys() == {
        context.abstract_syntax for context in AllStoragePresentationContexts
    }


def test_storage_classes_hold_all_retired_ones():
    retired = {
        uid for uid, (name, kind, _, retired, _) in UID_dictionary.items()
        if kind == "SOP Class" and retired and "Storage" in name and "Commitment" not in name
        and "Detached" not in name
    }
    assert uids.RETIRED_STORAGE_SOP_CLASSES.keys() == retired
    assert not uids.RETIRED_STORAGE_SOP_CLASSES.keys() & uids.CURRENT_STORAGE_SOP_CLASSES.keys()
    assert uids.STORAGE_SOP_CLASSES.keys() == (
        uids.RETIRED_STORAGE_SOP_CLASSES.keys()
        | uids.CURRENT_STORAGE_SOP_CLASSES.keys()
        | NON_PATIENT_SOP_CLASSES.keys()
    )


def test_the_models_of_what_belongs_to_no_patient_are_those_of_the_standard():
    for model in NON_PATIENT_MODELS:
        for uid, operation in ((model.find, "FIND"), (model.move, "MOVE"), (model.get, "GET")):
            name = UID_dictionary[uid][0]
            assert name.startswith(model.name), name
            assert name.removesuffix(" SOP Class").endswith(operation), name


def test_names_of_storage_classes():
    for uid, name in uids.STORAGE_SOP_CLASSES.items():
        assert uids.is_valid_uid(uid)
        if uid in UID_dictionary:
            assert name.removesuffix(" (Retired)") == UID_dictionary[uid][0].removesuffix(" SOP Class")


@pytest.mark.parametrize("name, keyword", [
    ("VERIFICATION", "Verification"),
    ("PATIENT_ROOT_FIND", "PatientRootQueryRetrieveInformationModelFind"),
    ("PATIENT_ROOT_MOVE", "PatientRootQueryRetrieveInformationModelMove"),
    ("PATIENT_ROOT_GET", "PatientRootQueryRetrieveInformationModelGet"),
    ("STUDY_ROOT_FIND", "StudyRootQueryRetrieveInformationModelFind"),
    ("STUDY_ROOT_MOVE", "StudyRootQueryRetrieveInformationModelMove"),
    ("STUDY_ROOT_GET", "StudyRootQueryRetrieveInformationModelGet"),
    ("PATIENT_STUDY_ONLY_FIND", "PatientStudyOnlyQueryRetrieveInformationModelFind"),
    ("PATIENT_STUDY_ONLY_MOVE", "PatientStudyOnlyQueryRetrieveInformationModelMove"),
    ("PATIENT_STUDY_ONLY_GET", "PatientStudyOnlyQueryRetrieveInformationModelGet"),
    ("COMPOSITE_INSTANCE_ROOT_RETRIEVE_MOVE", "CompositeInstanceRootRetrieveMove"),
    ("COMPOSITE_INSTANCE_ROOT_RETRIEVE_GET", "CompositeInstanceRootRetrieveGet"),
    ("COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET", "CompositeInstanceRetrieveWithoutBulkDataGet"),
])
def test_named_sop_classes(name, keyword):
    assert getattr(uids, name) == getattr(sop_class, keyword)
