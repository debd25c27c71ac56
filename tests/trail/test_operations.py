"""For each operation exactly the messages that are expected: the table `OPERATIONS`.

Slow: a node, DCMTK's and pynetdicom's programs, and some sixty associations, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage, generate_uid
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import BasicFilmBox, StudyRootQueryRetrieveInformationModelFind, Verification

from tests.conftest import MakeDirectory
from tests.peers import PeerFailed
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.receiver import Receiver
from tests.printing.print_scu import PrintSCU, gray_image
from tests.procedures.test_performed_steps import associated as modality
from tests.procedures.test_performed_steps import change, create, end, read
from tests.services.client import Client
from tests.services.corpus import EXPLICIT, Object, make_object, make_study
from tests.trail.messages import Trail
from tests.workitems.peer import associated, done
from tests.workitems.peer import dataset as item_of
from tests.workitems.samples import new_item

NODE = "MEDSERVER"
CT = (CTImageStorage, EXPLICIT)
MR = (MRImageStorage, EXPLICIT)


@dataclass
class Place:
    """What operations work with."""

    node: Node
    trail: Trail
    receiver: Receiver
    client: Client
    folder: Path
    study: list[Object] = field(default_factory=list)
    second: list[Object] = field(default_factory=list)
    film: str = ""
    item: str = ""
    step: str = ""
    expected: int = 0

    def wait(self, count: int) -> None:
        """Wait until an operation has left so many messages."""
        wait_until(lambda: len(self.trail.rows()) >= self.expected + count, what=f"{count} messages")

    def keys(self, study: list[Object] | None = None) -> dict[str, str]:
        return {"StudyInstanceUID": (study or self.study)[0].dataset.StudyInstanceUID}


Operation = Callable[[Place], None]
OPERATIONS: dict[str, tuple[Operation, list[str]]] = {}


def operation(*expected: str) -> Callable[[Operation], Operation]:
    """Put an operation, with the messages that come of it, into the table."""

    def enter(perform: Operation) -> Operation:
        OPERATIONS[perform.__name__] = (perform, list(expected))
        return perform

    return enter


RECEIVED = "transferred {action}{outcome} from=STORESCU! to=MEDSERVER {study} patient={patient}"


def received(action: str, study: str, patient: str = "P1", outcome: int = 0) -> str:
    return RECEIVED.format(action=action, outcome=outcome, study=study, patient=patient)


def sent_to(title: str, study: str, requestor: str = "STORESCU", patient: str = "P1", outcome: int = 0) -> str:
    if requestor == title:
        return f"transferred R{outcome} from=MEDSERVER to={title}! {study} patient={patient}"
    if requestor == NODE:
        return f"transferred R{outcome} from=MEDSERVER! to={title} {study} patient={patient}"
    return f"transferred R{outcome} from=MEDSERVER to={title} who={requestor}! {study} patient={patient}"


def begins(title: str, study: str, requestor: str = "STORESCU", patient: str = "P1") -> str:
    return sent_to(title, study, requestor, patient).replace("transferred R0", "begin E0")


QUERY = "query E0 from=STORESCU! to=MEDSERVER query"


def refused(kind: str, who: str) -> str:
    return f"alert({kind}) E4 who=MEDSERVER who={who} node"


CHANGED = "alert(Software Configuration) E0 who=MEDSERVER! uri"
RESTRICTED, AUTHENTICATION = "Use of Restricted Function", "Node Authentication"


# ---- receive


@operation(received("C", "studyx3"))
def receive_a_study(place: Place) -> None:
    place.study = make_study(3, PatientID="P1")
    assert place.client.store(*place.study) == [0, 0, 0]


@operation(received("R", "studyx3"))
def receive_it_again(place: Place) -> None:
    assert place.client.store(*place.study) == [0, 0, 0]


@operation(received("C", "studyx1"), received("R", "studyx1"))
def receive_one_more_with_one_that_is_there(place: Place) -> None:
    more = make_object(PatientID="P1", **place.keys())
    assert place.client.store(place.study[0], more) == [0, 0]


@operation(received("C", "studyx2"), received("C", "studyx1", "P2"))
def receive_two_studies_of_two_patients(place: Place) -> None:
    place.second = make_study(1, PatientID="P2")
    assert place.client.store(*make_study(2, PatientID="P1"), *place.second) == [0, 0, 0]


@operation(received("C", "studyx2"))
def receive_two_sop_classes(place: Place) -> None:
    study = generate_uid()
    both = [make_object(PatientID="P1", StudyInstanceUID=study, SOPClassUID=each[0]) for each in (CT, MR)]
    assert place.client.store(*both) == [0, 0]


@operation(received("C", "studyx1"))
def receive_other_bytes_of_the_same_instance(place: Place) -> None:
    other = make_object(
        PatientID="P1", SOPInstanceUID=place.study[1].sop_instance_uid, StudyDescription="other", **place.keys()
    )
    assert place.client.store(other) == [0]


@operation(received("C", "studyx1", "unknown", outcome=8))
def receive_what_is_no_data_set(place: Place) -> None:
    status, _ = place.client.store_raw(
        b"\0" * 100, abstract_syntax=CTImageStorage, AffectedSOPInstanceUID=str(generate_uid())
    )
    assert status >= 0xA000


@operation(received("C", "studyx1", "P3"), received("C", "studyx1", "unknown", outcome=8))
def receive_one_and_refuse_one(place: Place) -> None:
    from medserver.wire.requestor import Proposal
    from tests.services.client import exchange_store

    one = make_object(PatientID="P3")
    with place.client.associated([Proposal(CTImageStorage, (EXPLICIT,))]) as association:
        assert exchange_store(association, one.data_set(), AffectedSOPInstanceUID=one.sop_instance_uid)[0] == 0
        assert exchange_store(association, b"\0" * 64, AffectedSOPInstanceUID=str(generate_uid()))[0]


@operation()
def echo(place: Place) -> None:
    ae = AE("STORESCU")
    ae.add_requested_context(Verification)
    address = place.node.address
    association = ae.associate(address.host, address.port, ae_title=address.ae_title)
    assert association.send_c_echo().Status == 0
    association.release()


# ---- query


@operation(QUERY)
def query_studies(place: Place) -> None:
    assert place.client.find("STUDY", {"PatientID": "P1"}).status == 0


@operation(QUERY)
def query_patients(place: Place) -> None:
    assert place.client.find("PATIENT", {"PatientID": "*"}, model="PATIENT").status == 0


@operation(QUERY)
def query_without_a_match(place: Place) -> None:
    assert place.client.find("STUDY", {"PatientID": "NOBODY"}).statuses == (0,)


@operation("query E8 from=STORESCU! to=MEDSERVER query")
def query_that_is_refused(place: Place) -> None:
    assert place.client.find("NOWHERE", {"PatientID": "P1"}).status >= 0xA000


@operation(QUERY, QUERY)
def two_queries_on_one_association(place: Place) -> None:
    with place.client.querying() as ask:
        ask("STUDY", {"PatientID": "P1"})
        ask("STUDY", {"PatientID": "P2"})


@operation(QUERY)
def query_work_items(place: Place) -> None:
    with associated(place.node, "STORESCU") as peer:
        peer.find(ProcedureStepState="SCHEDULED")


# ---- retrieve


@operation(begins("STORESCU", "studyx4"), sent_to("STORESCU", "studyx4"))
def get_a_study(place: Place) -> None:
    retrieved = place.client.get("STUDY", place.keys(), [CT])
    assert (retrieved.status, len(retrieved.received)) == (0, 4)


@operation(
    begins("STORESCU", "studyx1", "STORESCU"),
    sent_to("STORESCU", "studyx1", "STORESCU", outcome=8),
)
def get_what_the_requestor_does_not_take(place: Place) -> None:
    keys = place.keys() | {
        "SeriesInstanceUID": place.study[0].dataset.SeriesInstanceUID, "SOPInstanceUID": place.study[0].sop_instance_uid
    }  # fmt: skip
    assert place.client.get("IMAGE", keys, [MR]).status == 0xA702


@operation()
def get_nothing(place: Place) -> None:
    assert place.client.get("STUDY", {"StudyInstanceUID": "1.2.3.4"}, [CT]).status == 0


@operation(begins("RECEIVER", "studyx4"), sent_to("RECEIVER", "studyx4"))
def move_a_study(place: Place) -> None:
    assert place.client.move("RECEIVER", "STUDY", place.keys()).status == 0


@operation(
    begins("RECEIVER", "studyx1", patient="P2"), sent_to("RECEIVER", "studyx1", patient="P2")
)
def move_a_patient(place: Place) -> None:
    assert place.client.move("RECEIVER", "PATIENT", {"PatientID": "P2"}, model="PATIENT").status == 0


@operation()
def move_to_nobody(place: Place) -> None:
    assert place.client.move("NOBODY", "STUDY", place.keys()).status == 0xA801


@operation(begins("DOWN", "studyx1", patient="P2"), sent_to("DOWN", "studyx1", patient="P2", outcome=8))
def move_to_who_does_not_listen(place: Place) -> None:
    assert place.client.move("DOWN", "STUDY", place.keys(place.second)).status == 0xA702


# ---- refused


@operation(refused(AUTHENTICATION, "STRANGER"))
def associate_as_a_stranger(place: Place) -> None:
    ae = AE("STRANGER")
    ae.add_requested_context(Verification)
    address = place.node.address
    assert not ae.associate(address.host, address.port, ae_title=address.ae_title).is_established


@operation(refused(AUTHENTICATION, "STORESCU"))
def associate_with_a_wrong_title(place: Place) -> None:
    ae = AE("STORESCU")
    ae.add_requested_context(Verification)
    address = place.node.address
    assert not ae.associate(address.host, address.port, ae_title="WRONG").is_established


@operation(CHANGED, CHANGED, refused(RESTRICTED, "STORESCU"), received("C", "studyx1", "P4"))
def store_when_the_right_is_taken_meanwhile(place: Place) -> None:
    from medserver.wire.requestor import Proposal
    from tests.services.client import exchange_store

    first, second = make_object(PatientID="P4"), make_object(PatientID="P4")
    with place.client.associated([Proposal(CTImageStorage, (EXPLICIT,))]) as association:
        assert exchange_store(association, first.data_set(), AffectedSOPInstanceUID=first.sop_instance_uid)[0] == 0
        place.node.add_remote("STORESCU", allow=("echo",))
        place.wait(1)
        status, _ = exchange_store(association, second.data_set(), AffectedSOPInstanceUID=second.sop_instance_uid)
        place.node.add_remote("STORESCU")
        place.wait(3)
        assert status == 0x0124


# ---- work items and performed steps


PROCEDURE = "procedure {} who=STORESCU! study patient=P1"


@operation(PROCEDURE.format("C0"))
def create_a_work_item(place: Place) -> None:
    place.item = str(generate_uid())
    with associated(place.node, "STORESCU") as peer:
        assert peer.create(place.item, item_of(new_item())).Status in (0, 0xB300)


@operation(PROCEDURE.format("R0"))
def read_a_work_item(place: Place) -> None:
    with associated(place.node, "STORESCU") as peer:
        assert peer.get(place.item)[0] == 0


@operation(PROCEDURE.format("U0"))
def claim_a_work_item(place: Place) -> None:
    with associated(place.node, "STORESCU") as peer:
        assert peer.change_state(place.item, "IN PROGRESS", "1.2.3") == 0


@operation(PROCEDURE.format("U0"))
def change_a_work_item(place: Place) -> None:
    with associated(place.node, "STORESCU") as peer:
        modifications = done()
        modifications.TransactionUID = "1.2.3"
        assert peer.set(place.item, modifications).Status == 0


@operation()
def claim_a_work_item_that_is_taken(place: Place) -> None:
    with associated(place.node, "STORESCU") as peer:
        assert peer.change_state(place.item, "IN PROGRESS", "1.2.4") >= 0xC300


@operation(PROCEDURE.format("C0"), PROCEDURE.format("U0"))
def cancel_a_work_item(place: Place) -> None:
    uid = str(generate_uid())
    with associated(place.node, "STORESCU") as peer:
        assert peer.create(uid, item_of(new_item())).Status in (0, 0xB300)
        assert peer.request_cancel(uid) == 0


@operation("procedure R8 who=STORESCU! study patient=unknown")
def read_a_work_item_that_is_not_there(place: Place) -> None:
    with associated(place.node, "STORESCU") as peer:
        assert peer.get("1.2.3.4.5")[0]


STEP = "procedure {} who=MODALITY! study patient=P1"


@operation(STEP.format("C0"))
def begin_a_performed_step(place: Place) -> None:
    with modality(place.node) as association:
        status, place.step = create(association)
        assert status == 0


@operation(STEP.format("U0"))
def complete_a_performed_step(place: Place) -> None:
    with modality(place.node) as association:
        assert change(association, place.step, end()).Status == 0


@operation(STEP.format("R0"))
def read_a_performed_step(place: Place) -> None:
    with modality(place.node) as association:
        assert read(association, place.step)[0] == 0


# ---- films


@operation("export R0 to=WS1! from=MEDSERVER on=URI at FILM patient=unknown")
def print_a_film_of_a_print_scu(place: Place) -> None:
    with PrintSCU(place.node.address) as scu:
        assert scu.create_session()[0] == 0
        _, box = scu.create_box(ImageDisplayFormat="STANDARD\\1,1")
        assert scu.set_image(box.ReferencedImageBoxSequence[0].ReferencedSOPInstanceUID, gray_image()) == 0
        assert scu.print(BasicFilmBox)[0] == 0


@operation("export R0 from=MEDSERVER! on=URI at FILM studyx1 patient=P2")
def print_an_image_by_command(place: Place) -> None:
    pixels = make_study(
        1, PatientID="P2", Rows=8, Columns=8, BitsAllocated=8, BitsStored=8, HighBit=7, SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2", PixelRepresentation=0, PixelData=bytes(64),
    )  # fmt: skip
    assert place.client.store(*pixels) == [0]
    place.trail.expect(place.expected, [received("C", "studyx1", "P2")])
    place.expected += 1
    place.node.cli("print", "send", pixels[0].sop_instance_uid, "--to", "FILM").check()


# ---- deliveries, deletions


@operation(received("C", "studyx1", "ROUTED"), sent_to("RECEIVER", "studyx1", NODE, "ROUTED"))
def deliver_by_a_rule(place: Place) -> None:
    """One instance: of several it depends on the moment in how many batches they go out."""
    assert place.client.store(*make_study(1, PatientID="ROUTED")) == [0]


@operation("accessed D0 who=root! studyx1 patient=P1")
def delete_an_instance(place: Place) -> None:
    place.node.cli("store", "delete", place.study[2].sop_instance_uid, "--force").check()


@operation("deleted D0 who=root! studyx3 patient=P1")
def delete_a_study(place: Place) -> None:
    uid = place.study[0].dataset.StudyInstanceUID
    place.node.cli("store", "delete", uid, "--reason", "test", "--force").check()


# ---- accounts


def changed(kind: str) -> str:
    return f"alert({kind}) E0 who=MEDSERVER who=root node"


ROLES_CHANGED, ATTRIBUTES_CHANGED = changed("Security Roles Changed"), changed("User Security Attributes Changed")


@operation(ROLES_CHANGED)
def add_a_user(place: Place) -> None:
    place.node.cli("user", "add", "anna", "--role", "reader", "--no-passcode").check()


@operation(ATTRIBUTES_CHANGED)
def change_the_passcode_of_a_user(place: Place) -> None:
    place.node.cli("user", "edit", "anna", "--generate").check()


@operation(ROLES_CHANGED)
def change_the_roles_of_a_user(place: Place) -> None:
    place.node.cli("user", "edit", "anna", "--role", "operator").check()


@operation(ROLES_CHANGED, ROLES_CHANGED)
def make_a_token_and_remove_it(place: Place) -> None:
    place.node.cli("token", "add", "scanner", "--role", "reader").check()
    place.node.cli("token", "remove", "scanner").check()


@operation()
def add_a_user_who_is_there(place: Place) -> None:
    assert place.node.cli("user", "add", "anna", "--role", "reader", "--no-passcode").exit_code != 0


@operation(
    "user(Login) E0 who=STORESCU who=bob! who=MEDSERVER", "user(Logout) E0 who=STORESCU who=bob! who=MEDSERVER",
    "query E0 from=STORESCU who=bob! to=MEDSERVER query", ROLES_CHANGED, CHANGED, CHANGED,
)  # fmt: skip
def query_as_a_user(place: Place) -> None:
    place.node.cli("user", "add", "bob", "--role", "reader", "--no-passcode").check()
    place.node.add_remote("STORESCU", options={"identity": "accepted"})
    place.wait(2)
    ae = AE("STORESCU")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field = 1, b"bob"
    address = place.node.address
    association = ae.associate(address.host, address.port, ae_title=address.ae_title, ext_neg=[identity])
    assert association.is_established
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.PatientID = "STUDY", "P1"
    list(association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind))
    association.release()
    place.wait(5)
    place.node.add_remote("STORESCU")


# ---- configuration and the node


@operation(CHANGED)
def change_the_configuration(place: Place) -> None:
    place.node.add_remote("NEWCOMER")


@operation("log used R0 who=root! uri")
def list_the_trail(place: Place) -> None:
    place.node.cli("audit", "list").check()


@operation("log used R0 who=root! uri")
def export_the_trail(place: Place) -> None:
    place.node.cli("audit", "export", place.folder / "trail.jsonl").check()


@operation()
def verify_the_trail(place: Place) -> None:
    assert "sealed messages" in place.node.cli("audit", "verify").check().stdout


@operation("application(Application Stop) E0 application=MEDSERVER launcher=root!")
def stop_the_node(place: Place) -> None:
    assert place.node.stop() == 0


@operation("application(Application Start) E0 application=MEDSERVER launcher=root!")
def start_the_node(place: Place) -> None:
    place.node.start()


@operation("application(Application Start) E0 application=MEDSERVER launcher=root!")
def kill_and_start_the_node(place: Place) -> None:
    place.node.kill()
    place.node.start()


@pytest.fixture(scope="module")
def place(make_directory: MakeDirectory) -> Iterator[Place]:
    directory = make_directory("audited")
    options = {
        "printer FILM.output": "pdf", "printer FILM.folder": "films", "store.duplicates": "keep",
        "route routed.to": "RECEIVER", "route routed.PatientID": "ROUTED", "jobs.workers": 1,
    }  # fmt: skip
    node = Node(directory, options=options, clients=("STORESCU", "MODALITY", "WS1"))
    receiver = Receiver("RECEIVER")
    node.add_remote(receiver.address, allow=())
    node.set_section("ae DOWN", {"address": "127.0.0.1:1", "allow": "echo"})
    node.start()
    trail = Trail(node.data)
    trail.expect(0, ["application(Application Start) E0 application=MEDSERVER launcher=root!"])
    yield Place(node, trail, receiver, Client(node.address), directory, expected=1)
    node.kill()
    receiver.close()


def test_exactly_what_is_expected(place: Place) -> None:
    """Perform all operations, one after the other: many need what those before have left."""
    wrong: list[str] = []
    for name, (perform, expected) in OPERATIONS.items():
        try:
            perform(place)
            place.trail.expect(place.expected, expected)
            place.expected += len(expected)
        except (AssertionError, PeerFailed) as error:
            wrong.append(f"{name}: {error}")
            place.expected = len(place.trail.rows())
    assert not wrong, "\n".join(wrong)
    assert len(OPERATIONS) >= 40
    assert len(place.trail.rows()) == place.expected, "and nothing has come behind"

    def is_sealed() -> bool:
        with place.trail.index() as index:
            return index.audit.pending_count() == 0

    wait_until(is_sealed, what="the trail to be sealed")
    assert place.node.cli("audit", "verify").check().stdout.startswith(f"{place.expected} sealed messages, head")
