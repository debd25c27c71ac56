"""What was fetched to be printed is forgotten, and nothing else: whatever anybody sends or wants meanwhile."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from medserver import archive
from medserver.commitment.plan import check_job
from medserver.dicom import storage_commitment
from medserver.index import NewCommitment, NewJob
from medserver.printing.pulling.forgetting import FORGET, forgets, forgets_moved, message_id_of
from medserver.processing.requests import Reference
from medserver.routing.deliveries import DELIVER, Delivery
from medserver.safekeeping.deletion import order_deletion
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from medserver.workitems.cancelling import request_cancel
from tests.printing.conftest import Shop
from tests.printing.test_workitems import ONE_PRINTER, STUDY, UID, ask
from tests.processing import phantoms
from tests.processing.rules_node import encoded

IMAGE = f"{phantoms.UID}.1.1"
OTHER = "2.25.78"


@pytest.fixture
def shop(make_shop) -> Shop:
    """Give a node that has fetched an image for a work item, which has not ended."""
    one = make_shop(ONE_PRINTER)
    (one.folder / "films").write_text("no folder: the printer does not print")
    ask(one, Reference("9.9"))  # never begun: its input is not looked for here
    receive(one, fetched=True)
    return one


def receive(shop: Shop, *, fetched: bool = False, value: int = 7) -> str:
    """Receive the image: from a fetch, or from anybody."""
    [image] = phantoms.ct_series(np.full((1, 8, 8), value, np.uint16))
    more = {"follow_ups": forgets(UID)} if fetched else {}
    with archive.receive(
        shop.node, sop_class_uid=image.SOPClassUID, sop_instance_uid=image.SOPInstanceUID,
        transfer_syntax_uid=phantoms.EXPLICIT, calling_ae_title="SERVER", **more,
    ) as reception:  # fmt: skip
        return reception.take([encoded(image)])


def run(shop: Shop, *kinds: str) -> None:
    """Do what is due, after a while."""
    for _ in range(3):
        shop.clock.advance(400)
        runner = Runner(shop.node, [kind for kind in JOB_KINDS if kind.name in kinds], periodic=())
        while runner.run_due():
            pass


def forget(shop: Shop) -> None:
    run(shop, FORGET, "delete", "remove")


def is_there(shop: Shop) -> bool:
    return IMAGE in shop.node.index.instances([IMAGE])


def end(shop: Shop, uid: str = UID) -> None:
    request_cancel(shop.node, uid, "WS1")


def test_it_is_forgotten_when_its_item_has_ended(shop: Shop) -> None:
    forget(shop)
    assert is_there(shop)
    end(shop)
    forget(shop)
    assert not is_there(shop)
    assert list(shop.node.primary_volume.walk()) == []
    assert FORGET not in {job.kind for job in shop.node.index.jobs.list()}


@pytest.mark.parametrize("ends_first", [True, False])
def test_what_somebody_sends_too_stays(shop: Shop, ends_first: bool) -> None:
    if ends_first:
        end(shop)
    assert receive(shop) == "same"
    end(shop)
    forget(shop)
    assert is_there(shop)
    assert FORGET not in {job.kind for job in shop.node.index.jobs.list()}


def test_what_is_sent_after_the_order_stays(shop: Shop) -> None:
    end(shop)
    run(shop, FORGET)
    assert receive(shop) == "same"
    forget(shop)
    assert is_there(shop)


def test_what_is_sent_between_the_look_and_the_order_stays(shop: Shop) -> None:
    copy = shop.node.index.instances([IMAGE])[IMAGE]
    assert receive(shop) == "same"
    assert order_deletion(shop.node, [copy], by="printing", reason="test", is_alone=True) == []
    forget(shop)
    assert is_there(shop)


def test_other_bytes_of_the_same_uid_stay(shop: Shop) -> None:
    assert receive(shop, value=8) in ("kept", "replaced")
    end(shop)
    forget(shop)
    assert is_there(shop)


OURS = {"MoveOriginatorApplicationEntityTitle": "MEDSERVER", "MoveOriginatorMessageID": message_id_of(UID)}


@pytest.mark.parametrize(
    "strange",
    [
        {},
        OURS | {"MoveOriginatorMessageID": message_id_of(UID) - 1},
        OURS | {"MoveOriginatorMessageID": 1},
        OURS | {"MoveOriginatorMessageID": None},
        OURS | {"MoveOriginatorApplicationEntityTitle": "ANOTHER"},
    ],
)
def test_only_what_an_item_has_moved_is_known_by_its_originator(shop: Shop, strange: dict) -> None:
    assert forgets_moved(shop.node, OURS) is not None
    assert forgets_moved(shop.node, strange) is None


def test_what_comes_after_the_item_has_ended_is_from_anybody(shop: Shop) -> None:
    end(shop)
    run(shop, "print_workitem")
    assert forgets_moved(shop.node, OURS) is None


def test_what_somebody_wants_us_to_commit_to_stays(shop: Shop) -> None:
    """Who has asked for it may delete what it has, and asks from then on here."""
    asked = NewCommitment("scp", "1.2.3.4", "SERVER", "", (storage_commitment.Reference(phantoms.CT, IMAGE),))
    shop.node.index.commitments.accept(asked, lambda number: check_job(number, "SERVER"), 10)
    end(shop)
    forget(shop)
    assert is_there(shop)
    assert FORGET not in {job.kind for job in shop.node.index.jobs.list()}


def test_what_was_sent_before_the_fetch_has_no_order(shop: Shop) -> None:
    end(shop)
    forget(shop)
    assert receive(shop) == "stored"
    assert receive(shop, fetched=True) == "same"
    forget(shop)
    assert is_there(shop)


def test_it_waits_for_another_item(shop: Shop) -> None:
    ask(shop, Reference(STUDY), uid=OTHER)
    end(shop)
    forget(shop)
    assert is_there(shop)
    end(shop, OTHER)
    forget(shop)
    assert not is_there(shop)


def test_it_waits_for_a_film(shop: Shop) -> None:
    ask(shop, Reference(STUDY), uid=OTHER)
    run(shop, "print_workitem")
    end(shop)
    end(shop, OTHER)
    films = shop.node.index.films.of_request(OTHER)
    assert [film.state for film in films] == ["PENDING"]
    forget(shop)
    assert is_there(shop)
    run(shop, "print_workitem")  # cancels the film
    forget(shop)
    assert not is_there(shop)


def test_it_waits_for_a_delivery(shop: Shop) -> None:
    due_at = shop.node.clock() + timedelta(days=1)
    shop.node.index.add_jobs([NewJob(DELIVER, Delivery(IMAGE), destination="WS", due_at=due_at)])
    end(shop)
    forget(shop)
    assert is_there(shop)
    jobs = [job.id for job in shop.node.index.jobs.list() if job.kind == DELIVER]
    shop.node.index.jobs.drop(jobs)
    forget(shop)
    assert not is_there(shop)


def test_it_is_fetched_and_forgotten_again(shop: Shop) -> None:
    end(shop)
    forget(shop)
    assert receive(shop, fetched=True) == "stored"
    assert is_there(shop)
    forget(shop)
    assert not is_there(shop)
