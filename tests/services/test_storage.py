"""C-STORE: what is accepted, what is refused, and what becomes of the same instance again (PS3.4 B)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from medserver.dicom import uids
from medserver.errors import NoContextAccepted
from medserver.wire.command_set import encode_command_set
from medserver.wire.pdata import fragment_pieces, pdata_pieces
from medserver.wire.requestor import Proposal
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage, SecondaryCaptureImageStorage
from pynetdicom.presentation import AllStoragePresentationContexts

from tests.peers import files
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.services import corpus
from tests.services.client import Client, exchange_store
from tests.services.corpus import BIG_ENDIAN, EXPLICIT, IMPLICIT, kinds_of
from tests.services.peer import ALL_TRANSFER_SYNTAXES
from tests.services.retrieval import keys_of

# Some data sets here are ill-formed on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*VR UI.*:UserWarning")

PRIVATE_SOP_CLASS = "1.3.12.2.1107.5.9.1"


def send_raw(
    client: Client, one: corpus.Object, data_set: bytes | None = None, **changes: object
) -> tuple[int, str]:
    """Send an object, with other bytes or with changes to its command set."""
    command_set = {"AffectedSOPInstanceUID": one.sop_instance_uid} | changes
    return client.store_raw(
        one.encoded if data_set is None else data_set,
        abstract_syntax=one.sop_class_uid,
        transfer_syntax_uid=one.transfer_syntax_uid,
        **command_set,
    )


def is_found(client: Client, sop_instance_uid: str) -> bool:
    """Tell whether an instance can be retrieved."""
    return bool(get(client, [(CTImageStorage, EXPLICIT)], sop_instance_uid))


def get(client: Client, kinds: list[tuple[str, str]], sop_instance_uid: str) -> dict[str, tuple[str, bytes]]:
    """Fetch one instance."""
    answers = client.get("IMAGE", {"SOPInstanceUID": sop_instance_uid}, kinds, model="COMPOSITE")
    assert answers.status == 0, answers
    return answers.received


# -- what is accepted ------------------------------------------------------------------------------------------


def test_every_transfer_syntax_is_kept_as_received(client: Client) -> None:
    study = uids.new_uid()
    sent = [corpus.make_object(syntax, StudyInstanceUID=study) for syntax in ALL_TRANSFER_SYNTAXES]
    assert client.store(*sent) == [0] * len(sent)
    fetched = client.get("STUDY", {"StudyInstanceUID": study}, kinds_of(sent))
    assert fetched.status == 0
    assert fetched.received == {one.sop_instance_uid: (one.transfer_syntax_uid, one.encoded) for one in sent}


def test_every_storage_sop_class_is_stored(client: Client) -> None:
    """Those of pynetdicom, and retired ones that lie in archives."""
    sop_classes = {context.abstract_syntax for context in AllStoragePresentationContexts}
    retired = {
        "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame Image
        "1.2.840.10008.5.1.4.1.1.5",  # Nuclear Medicine Image
        "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image
        "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane Image
        "1.2.840.10008.5.1.4.1.1.9",  # Standalone Curve
    }
    assert len(sop_classes) >= 165
    assert retired.isdisjoint(sop_classes)
    study = uids.new_uid()
    sent = [
        corpus.make_object(StudyInstanceUID=study, SOPClassUID=sop_class)
        for sop_class in sop_classes | retired
    ]
    assert client.store(*sent) == [0] * len(sent)
    found = client.find("STUDY", {"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": ""})
    assert found.values("NumberOfStudyRelatedInstances") == [str(len(sent))]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_uids_of_devices_that_break_the_rules(client: Client, keyword: str) -> None:
    """Components with leading zeros, empty ones, a single one: what has such a UID is kept, found and fetched."""
    for uid in (f"1.2.{uids.new_uid()[5:30]}.0077", f"1..2.{uids.new_uid()[5:30]}.", uids.new_uid()[5:30]):
        sent = corpus.make_object(**{keyword: uid})
        assert client.store(sent) == [0]
        found = client.find("STUDY", {"StudyInstanceUID": sent.dataset.StudyInstanceUID})
        assert found.values("StudyInstanceUID") == [sent.dataset.StudyInstanceUID]
        keys = keys_of(sent, "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        answers = client.get("IMAGE", keys, kinds_of([sent]))
        assert answers.received == {sent.sop_instance_uid: (EXPLICIT, sent.encoded)}


def test_more_than_a_mebibyte_in_front_of_the_study(client: Client) -> None:
    """As a segmentation of 12,000 source images has it; sent again it is the same."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, f"1.2.{'3' * 40}"
    series = Dataset()
    series.ReferencedInstanceSequence = [item] * 12_000
    sent = corpus.make_object(ReferencedSeriesSequence=[series])
    assert client.store(sent, sent) == [0, 0]
    answers = client.get("STUDY", keys_of(sent, "StudyInstanceUID"), kinds_of([sent]))
    assert answers.received == {sent.sop_instance_uid: (EXPLICIT, sent.encoded)}
    assert client.find("STUDY", keys_of(sent, "StudyInstanceUID")).values("StudyInstanceUID")


def test_private_sop_class_only_from_whom_it_is_allowed(node: Node) -> None:
    node.add_remote("VENDOR", options={"private_sop_classes": PRIVATE_SOP_CLASS})
    sent = corpus.make_object(SOPClassUID=PRIVATE_SOP_CLASS)
    [refused] = Client(node.address, "STORESCU").store(sent)
    assert refused != 0
    assert Client(node.address, "VENDOR").store(sent) == [0]
    assert Client(node.address, "VENDOR").store(corpus.make_object(SOPClassUID=f"{PRIVATE_SOP_CLASS}.1")) != [
        0
    ]
    for ae_title in ("VENDOR", "STORESCU"):
        received = get(Client(node.address, ae_title), kinds_of([sent]), sent.sop_instance_uid)
        assert received == {sent.sop_instance_uid: (EXPLICIT, sent.encoded)}


def test_private_sop_class_is_fetched_by_whoever_may_fetch(node: Node) -> None:
    """Also when no entry names it any more; nobody else is its SCP, nobody that may get only is its SCU."""
    sent = corpus.make_object(SOPClassUID=f"{PRIVATE_SOP_CLASS}.2")
    node.add_remote("DISMANTLED", options={"private_sop_classes": sent.sop_class_uid})
    node.add_remote("FETCHES", allow=("get",))
    node.add_remote("FINDS", allow=("find", "move"))
    assert Client(node.address, "DISMANTLED").store(sent) == [0]
    node.remove_remote("DISMANTLED")
    client = Client(node.address, "FETCHES")
    assert get(client, kinds_of([sent]), sent.sop_instance_uid) == {sent.sop_instance_uid: (EXPLICIT, sent.encoded)}
    with pytest.raises(NoContextAccepted):
        client.store_raw(sent.encoded, abstract_syntax=sent.sop_class_uid, AffectedSOPInstanceUID=sent.sop_instance_uid)
    with (
        pytest.raises(NoContextAccepted),
        Client(node.address, "FINDS").associated([Proposal(sent.sop_class_uid, (EXPLICIT,), as_scp=True)]),
    ):
        pass


def test_data_set_that_is_broken_behind_its_identity_is_stored(client: Client) -> None:
    """An element that is longer than the data set follows: pydicom cannot read it, the bytes are kept."""
    whole = corpus.make_object(PatientID="BROKEN")
    broken = whole.encoded + bytes.fromhex("280010005553ff00") + b"\0\0" + b"\xff" * 34
    assert send_raw(client, whole, broken) == (0, "")
    assert get(client, kinds_of([whole]), whole.sop_instance_uid)[whole.sop_instance_uid][1] == broken
    assert client.find("STUDY", {"PatientID": "BROKEN", "StudyInstanceUID": ""}).values(
        "StudyInstanceUID"
    ) == [whole.dataset.StudyInstanceUID]


def test_header_keys_of_a_broken_data_set_do_not_stop_a_query(client: Client) -> None:
    whole = corpus.make_object(PatientID="BROKEN2", Rows=5)
    broken = whole.encoded + bytes.fromhex("e07f1000ffff") + b"\xff" * 50
    assert send_raw(client, whole, broken)[0] == 0
    keys = {
        "StudyInstanceUID": whole.dataset.StudyInstanceUID,
        "SeriesInstanceUID": whole.dataset.SeriesInstanceUID,
        "SOPInstanceUID": "",
        "KVP": "",
    }
    found = client.find("IMAGE", keys)
    assert found.statuses == (0xFF00, 0x0000)
    assert found.values("SOPInstanceUID") == [whole.sop_instance_uid]


# -- what is refused -------------------------------------------------------------------------------------------


def test_data_set_of_another_instance(client: Client) -> None:
    sent, other = corpus.make_object(), uids.new_uid()
    code, comment = send_raw(client, sent, AffectedSOPInstanceUID=other)
    assert code == 0xA900
    assert "SOP Instance UID" in comment
    assert not is_found(client, other)
    assert not is_found(client, sent.sop_instance_uid)


def test_data_set_of_another_sop_class(client: Client) -> None:
    sent = corpus.make_object(SOPClassUID=MRImageStorage)
    code, comment = client.store_raw(
        sent.encoded, abstract_syntax=CTImageStorage, AffectedSOPInstanceUID=sent.sop_instance_uid
    )
    assert code == 0xA900
    assert "SOP Class UID" in comment
    assert not is_found(client, sent.sop_instance_uid)


def test_command_with_another_sop_class_than_the_context(client: Client) -> None:
    sent = corpus.make_object()
    code, _ = send_raw(client, sent, AffectedSOPClassUID=str(MRImageStorage))
    assert code == 0xA900
    assert not is_found(client, sent.sop_instance_uid)


@pytest.mark.parametrize(
    ("stated", "actual"),
    [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT), (EXPLICIT, BIG_ENDIAN), (BIG_ENDIAN, EXPLICIT)],
)
def test_data_set_in_another_transfer_syntax(client: Client, stated: str, actual: str) -> None:
    sent = corpus.make_object(actual)
    code, _ = client.store_raw(
        sent.encoded,
        abstract_syntax=CTImageStorage,
        transfer_syntax_uid=stated,
        AffectedSOPInstanceUID=sent.sop_instance_uid,
    )
    assert code == 0xA900
    assert not is_found(client, sent.sop_instance_uid)


@pytest.mark.parametrize(
    "uid",
    ["", "../../etc/passwd", "..", "1.2.3a", "abc", "1.2.3/4", "1." * 40, "1.2.3\\1.2.4", "1.2. 3"],
)
def test_invalid_sop_instance_uid(client: Client, uid: str) -> None:
    dataset = corpus.make_dataset()
    dataset.SOPInstanceUID = uid
    code, _ = send_raw(client, corpus.encoded(dataset), AffectedSOPInstanceUID=uid)
    assert code == 0x0117


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "not a uid"])
def test_without_a_valid_study_or_series(client: Client, keyword: str, value: str | None) -> None:
    dataset = corpus.make_dataset()
    if value is None:
        del dataset[keyword]
    else:
        setattr(dataset, keyword, value)
    sent = corpus.encoded(dataset)
    assert send_raw(client, sent)[0] == 0xA900
    assert not is_found(client, sent.sop_instance_uid)


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 4096, b"", b"\x08\x00", b"This is no data set. " * 50, bytes(10_000)]
)
def test_garbage(client: Client, garbage: bytes) -> None:
    sent = corpus.make_object()
    code, _ = send_raw(client, sent, garbage)
    assert code == 0xC000
    assert not is_found(client, sent.sop_instance_uid)


def test_without_a_data_set(client: Client) -> None:
    with client.associated([Proposal(CTImageStorage, (EXPLICIT,))]) as association:
        code, _ = exchange_store(
            association, None, CommandDataSetType=0x0101, AffectedSOPInstanceUID=uids.new_uid()
        )
        assert code == 0xA900


def test_association_goes_on_after_a_refusal(client: Client) -> None:
    """The rest of a refused data set is passed over, and the next instance is stored."""
    good = corpus.make_object()
    large = bytes(3_000_000)
    with client.associated([Proposal(CTImageStorage, (EXPLICIT,))]) as association:
        for _ in range(3):
            assert exchange_store(association, large, AffectedSOPInstanceUID="not a uid")[0] == 0x0117
            assert exchange_store(association, large, AffectedSOPInstanceUID=uids.new_uid())[0] == 0xC000
        assert exchange_store(association, good.encoded, AffectedSOPInstanceUID=good.sop_instance_uid)[0] == 0
    assert is_found(client, good.sop_instance_uid)


def test_object_beyond_the_limit(start_node: Callable[..., Node]) -> None:
    node = start_node(options={"limits.object_size_max_bytes": 100000})
    client = Client(node.address)
    small, large = (
        corpus.make_object(),
        corpus.make_object(ImageComments="x" * 9000, PixelData=bytes(200_000)),
    )
    assert client.store(small, large) == [0x0000, 0xA700]
    assert not is_found(client, large.sop_instance_uid)
    assert is_found(client, small.sop_instance_uid)


def test_peer_that_goes_away_in_the_midst_leaves_nothing(node: Node, client: Client) -> None:
    sent = corpus.make_object(PixelData=bytes(40_000_000))
    with client.associated([Proposal(CTImageStorage, (EXPLICIT,))]) as association:
        [context] = association.contexts.values()
        command_set = {
            "AffectedSOPClassUID": CTImageStorage,
            "CommandField": 1,
            "MessageID": 1,
            "Priority": 0,
            "CommandDataSetType": 1,
            "AffectedSOPInstanceUID": sent.sop_instance_uid,
        }
        pieces = pdata_pieces(context.context_id, encode_command_set(command_set), True, 16_384)
        pieces += fragment_pieces(context.context_id, memoryview(sent.encoded[:30_000_000]), False, 16_384)
        association.write(pieces)
        association.abort()
        association.close()
    assert not is_found(client, sent.sop_instance_uid)
    node.server.wait_for(lambda: not list(node.data.rglob("*.part")), what="the end of the temporary file")


def stored_files(node: Node) -> set[Path]:
    """Return the files of the store, without those of its journal."""
    return {
        path for path in (node.data / "store").rglob("*") if path.is_file() and path.parent.name != "journal"
    }


def stored_data_sets(node: Node, *objects: corpus.Object) -> list[int]:
    """Stop the node, and return how often the data set of each object lies in its store."""
    assert node.stop() == 0
    contents = [path.read_bytes() for path in stored_files(node)]
    return [sum(content.endswith(one.encoded) for content in contents) for one in objects]


# -- the same instance again -----------------------------------------------------------------------------------


def twins(**attributes: object) -> tuple[corpus.Object, corpus.Object]:
    """Return two objects with the same SOP Instance UID and other bytes."""
    first = corpus.make_dataset(ImageComments="first", **attributes)
    second = corpus.make_dataset(ImageComments="second", **attributes)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(second, keyword, first[keyword].value)
    return corpus.encoded(first), corpus.encoded(second)


@pytest.mark.parametrize(
    ("duplicates", "code", "remains"), [("keep", 0, 0), ("replace", 0, 1), ("reject", 0x0111, 0)]
)
def test_same_instance_with_other_bytes(
    start_node: Callable[..., Node], duplicates: str, code: int, remains: int
) -> None:
    node = start_node(options={"store.duplicates": duplicates})
    client = Client(node.address)
    both = twins()
    assert client.store(both[0]) == [0]
    assert client.store(both[0]) == [0], "the same bytes again are success"
    assert client.store(both[1]) == [code]
    assert client.store(both[remains]) == [0], "what is there is there"
    uid = both[0].sop_instance_uid
    assert get(client, kinds_of(both), uid) == {uid: (EXPLICIT, both[remains].encoded)}
    assert client.find("STUDY", {"StudyInstanceUID": "", "NumberOfStudyRelatedInstances": ""}).values(
        "NumberOfStudyRelatedInstances"
    ) == ["1"]
    assert stored_data_sets(node, *both) == ([1, 0] if duplicates == "reject" else [1, 1]), "nothing is lost"


@pytest.mark.parametrize("size_bytes", [100, 5_000_000])
def test_same_bytes_are_stored_once(start_node: Callable[..., Node], size_bytes: int) -> None:
    node = start_node()
    sent = corpus.make_object(PixelData=bytes(size_bytes))
    assert Client(node.address).store(sent) == [0]
    assert Client(node.address).store(sent, sent) == [0, 0]
    assert stored_data_sets(node, sent) == [1]
    assert sum(path.suffix == ".dcm" for path in stored_files(node)) == 1


def test_four_senders_of_the_same_study(node: Node, client: Client, dcmtk: Dcmtk, tmp_path: Path) -> None:
    """All send the same patient, study and instances at once; the order differs."""
    sent = files.make_small(tmp_path / "series", 40, patient_id="PARALLEL")
    orders = [sent, sent[::-1], sent[20:] + sent[:20], sent[::2] + sent[1::2]]
    with ThreadPoolExecutor(4) as senders:
        exits = [senders.submit(dcmtk.store, node.address, *(one.path for one in order)) for order in orders]
        outcomes = [future.result().check() for future in exits]
    for outcome in outcomes:
        assert outcome.statuses == (0,) * 40
    keys = ("StudyInstanceUID", "NumberOfPatientRelatedStudies", "NumberOfStudyRelatedInstances")
    found = client.find("STUDY", {"PatientID": "PARALLEL"} | dict.fromkeys(keys, ""))
    [identifier] = found.identifiers
    assert identifier.NumberOfStudyRelatedInstances == 40
    assert identifier.NumberOfPatientRelatedStudies == 1
    fetched = client.get("STUDY", {"StudyInstanceUID": identifier.StudyInstanceUID}, kinds_of(sent))
    assert {uid: raw for uid, (_, raw) in fetched.received.items()} == {
        one.sop_instance_uid: one.data_set() for one in sent
    }


def test_four_senders_of_different_bytes_under_one_uid(start_node: Callable[..., Node]) -> None:
    """One wins, the others are kept aside; nothing is mixed."""
    node = start_node()
    base = corpus.make_dataset()
    rivals = []
    for number in range(4):
        base.ImageComments = f"rival {number}"
        rivals.append(corpus.encoded(base))
    clients = [Client(node.address) for _ in rivals]
    with ThreadPoolExecutor(4) as senders:
        futures = [senders.submit(one.store, rival) for one, rival in zip(clients, rivals, strict=True)]
        assert [future.result() for future in futures] == [[0]] * 4
    received = get(clients[0], kinds_of(rivals), rivals[0].sop_instance_uid)
    assert received[rivals[0].sop_instance_uid][1] in [rival.encoded for rival in rivals]
    assert stored_data_sets(node, *rivals) == [1] * 4


# -- success means safe ----------------------------------------------------------------------------------------


def test_killed_right_after_success(start_node: Callable[..., Node]) -> None:
    node = start_node()
    client = Client(node.address)
    for _ in range(2):
        sent = corpus.make_object(SOPClassUID=SecondaryCaptureImageStorage, PixelData=bytes(50_000))
        with client.associated([Proposal(SecondaryCaptureImageStorage, (EXPLICIT,))]) as association:
            code, _ = exchange_store(association, sent.encoded, AffectedSOPInstanceUID=sent.sop_instance_uid)
            node.kill()
            assert code == 0
            association.abort()
            association.close()
        node.start()
        found = client.find("STUDY", {"StudyInstanceUID": sent.dataset.StudyInstanceUID, "PatientID": ""})
        assert found.values("PatientID") == ["CORPUS"]
        assert get(client, kinds_of([sent]), sent.sop_instance_uid) == {
            sent.sop_instance_uid: (EXPLICIT, sent.encoded)
        }
