"""Work items (110008, DCM, "Print") become films, and end as these do. In one process; nothing is fetched."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pypdfium2
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.dicom.json_model import JSON
from medserver.errors import UnusableParameters
from medserver.index import Workitem
from medserver.printing.film import Film, film_of
from medserver.printing.format import PARAMETERS
from medserver.printing.pulling.request import attribute_list_of, request_of
from medserver.printing.pulling.steps import STEPS, Films, Step, films_in
from medserver.printing.states import STATES, Happening, change_film
from medserver.processing.requests import Reference
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from medserver.workitems.cancelling import request_cancel
from medserver.workitems.content import code, content_of, data_set, first_item, has, value
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import PRINT_WORKITEM
from tests.printing.conftest import CONFIGURATION, Shop
from tests.processing import phantoms
from tests.processing.rules_node import receive

UID = "2.25.77"
SLICES = 5
STUDY, SERIES = f"{phantoms.UID}.0", f"{phantoms.UID}.1"
ONE_PRINTER = f"""{CONFIGURATION.partition("substitute")[0]}
[ae WS1]
address = 127.0.0.1
allow = process, print
[ae WS2]
address = 127.0.0.1
allow = process
[ae WS3]
address = 127.0.0.1
allow = process, print
"""

MakeShop = Callable[..., Shop]


class Lost(BaseException):
    """The worker is gone."""


def store(shop: Shop, **others: str) -> None:
    volume = np.random.default_rng(7).integers(0, 2000, (SLICES, 16, 24)).astype(np.uint16)
    for one in phantoms.ct_series(volume, **others):
        receive(shop.node, one)


def frame_number_text(text: str) -> DataElement:
    """Return a Referenced Frame Number that pydicom would not write."""
    return DataElement(0x00081160, "LO", text)


def damage(shop: Shop, uid: str) -> None:
    """Damage the only copy of an instance."""
    [stored] = shop.node.index.instances([uid]).values()
    path = shop.folder / "store" / stored.path
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:400])


def ask(
    shop: Shop, *references: Reference, uid: str = UID, station: str = "", by: str = "WS1", **given: object
) -> None:
    """Create a work item for the series, or other references."""
    named = references or (Reference(STUDY, SERIES),)
    attributes = attribute_list_of(given, named, shop.node.clock())
    if station:
        attributes |= data_set(ScheduledStationNameCodeSequence=[code(station, "99HOSPITAL", station)])
    create(shop.node, uid, attributes, by)


def work(shop: Shop, *kinds: str) -> None:
    """Do what is due, of all kinds or of some."""
    chosen = [kind for kind in JOB_KINDS if not kinds or kind.name in kinds]
    runner = Runner(shop.node, chosen, periodic=())
    while runner.run_due():
        pass


def look(shop: Shop, *kinds: str) -> None:
    """Do what is due, after a while."""
    shop.clock.advance(30)
    work(shop, *kinds)


def row(shop: Shop, uid: str = UID) -> Workitem:
    found = shop.node.index.workitems.get(uid)
    assert found is not None
    return found


def films(shop: Shop) -> list[Film]:
    return [film_of(each.content) for each in shop.node.index.films.of_request(UID)]


def states(shop: Shop) -> list[str]:
    return [each.state for each in shop.node.index.films.of_request(UID)]


def progress(shop: Shop) -> JSON:
    return first_item(content_of(row(shop).content), "ProcedureStepProgressInformationSequence")


def reason(shop: Shop) -> tuple[str, str]:
    """Return the code and the text of why the item was cancelled."""
    found = first_item(progress(shop), "ProcedureStepDiscontinuationReasonCodeSequence")
    return value(found, "CodeValue"), value(progress(shop), "ReasonForCancellation")


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """Give a node with one printer, and a series."""
    one = make_shop(ONE_PRINTER)
    store(one)
    return one


def test_an_item_becomes_pages(shop: Shop) -> None:
    ask(shop, layout="2,2", copies=2, window="40,400", annotation="for the ward")
    work(shop)
    look(shop)
    assert (row(shop).state, states(shop)) == ("COMPLETED", ["DONE", "DONE"])
    first, second = films(shop)
    assert [len(first.boxes), len(second.boxes)] == [4, 1]
    assert {each.copies for each in shop.node.index.films.of_request(UID)} == {2}
    assert value(progress(shop), "ProcedureStepProgress") == "100.0"
    assert value(progress(shop), "ProcedureStepProgressDescription") == "2 of 2 films printed"
    performed = first_item(content_of(row(shop).content), "UnifiedProcedureStepPerformedProcedureSequence")
    assert has(performed, "OutputInformationSequence")
    assert value(first_item(performed, "PerformedWorkitemCodeSequence"), "CodeValue") == "110008"
    texts = []
    for path in shop.pages():
        with pypdfium2.PdfDocument(path) as document:
            texts.append(document[0].get_textpage().get_text_bounded())
    assert len(texts) == 2
    for text in texts:
        assert "Müller Jörg" in text and "P1" in text and "2026-01-02" in text and "for the ward" in text
    assert {page for page in ("page 1 of 2", "page 2 of 2") for text in texts if page in text} == {
        "page 1 of 2", "page 2 of 2",
    }  # fmt: skip


def test_frames_and_instances_in_their_order(shop: Shop) -> None:
    uids = [f"{phantoms.UID}.1.{number}" for number in (3, 1, 2)]
    named = Reference(STUDY, SERIES, tuple((phantoms.CT, uid) for uid in uids), frames=((uids[0], (1,)),))
    ask(shop, named, layout="3,1")
    assert "00081160" in row(shop).content  # Referenced Frame Number
    work(shop)
    [film] = films(shop)
    assert [box.image.sop_instance_uid for box in film.boxes] == uids


@pytest.mark.parametrize(
    "given, references, code_value",
    [
        ({"layout": "99,99"}, (), "BAD_PARAMETERS"),
        ({"layout": "256,1"}, (), "BAD_PARAMETERS"),
        ({"window": "40,0.5"}, (), "BAD_PARAMETERS"),
        ({"printer": "NOWHERE"}, (), "BAD_PARAMETERS"),
        ({"film_size": "A3"}, (), "BAD_PARAMETERS"),
        ({"copies": "21"}, (), "BAD_PARAMETERS"),
        ({}, (Reference(STUDY, SERIES, ((phantoms.CT, "9.9"),)),), "110523"),
        ({}, (Reference(STUDY, "9.9"),), "110523"),
        ({}, (Reference("9.9", SERIES, ((phantoms.CT, f"{phantoms.UID}.1.1"),)),), "110523"),
        ({}, (Reference("", ""),), "110523"),
        (
            {},
            (Reference(STUDY, SERIES, ((phantoms.CT, f"{phantoms.UID}.1.1"),), "", ((f"{phantoms.UID}.1.1", (2,)),)),),
            "110522",
        ),
    ],
)
def test_what_cannot_be_printed(
    shop: Shop, given: Mapping[str, str], references: tuple[Reference, ...], code_value: str
) -> None:
    named = references or (Reference(STUDY, SERIES),)
    attributes = attribute_list_of({}, named, shop.node.clock())
    texts = [
        data_set(ValueType="TEXT", ConceptNameCodeSequence=[code(name, "99MEDSERVER", name)], TextValue=text)
        for name, text in given.items()
    ]
    create(shop.node, UID, attributes | data_set(ScheduledProcessingParametersSequence=texts), "WS1")
    work(shop)
    assert (row(shop).state, reason(shop)[0], states(shop)) == ("CANCELED", code_value, [])


def test_a_missing_image_is_marked_if_that_is_asked_for(shop: Shop) -> None:
    named = ((phantoms.CT, f"{phantoms.UID}.1.1"), (phantoms.CT, "9.9"))
    ask(shop, Reference(STUDY, SERIES, named), missing="mark")
    work(shop)
    [film] = films(shop)
    assert film.warnings == ("missing: image 2",)


STATE = "2.25.800"
GRAYSCALE_STATE = "1.2.840.10008.5.1.4.1.1.11.1"


def state_for(*uids: str) -> Dataset:
    """Return a presentation state that refers to images."""
    state = phantoms.common(GRAYSCALE_STATE, "PR", series=8)
    state.SOPInstanceUID = STATE
    series, state.ReferencedSeriesSequence = Dataset(), []
    series.SeriesInstanceUID, series.ReferencedImageSequence = SERIES, []
    for uid in uids:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = phantoms.CT, uid
        series.ReferencedImageSequence.append(image)
    state.ReferencedSeriesSequence.append(series)
    return state


def test_a_presentation_state_is_applied_to_the_images_that_it_is_for(shop: Shop) -> None:
    uids = [f"{phantoms.UID}.1.{number}" for number in (1, 2)]
    receive(shop.node, state_for(uids[1]))
    named = tuple((phantoms.CT, uid) for uid in uids)
    ask(shop, Reference(STUDY, SERIES, named), Reference(STUDY, f"{phantoms.UID}.8", ((GRAYSCALE_STATE, STATE),)))
    work(shop, PRINT_WORKITEM)
    [film] = films(shop)
    assert [box.image.presentation_state_uid for box in film.boxes] == ["", STATE]


def test_a_presentation_state_may_name_frames_one_by_one(shop: Shop) -> None:
    many = phantoms.ct_slice(np.zeros((16, 24), np.uint16), 7, series=2)
    many.NumberOfFrames, many.PixelData = 3, many.PixelData * 3
    receive(shop.node, many)
    state = state_for(many.SOPInstanceUID, many.SOPInstanceUID)
    for number, image in zip((3, 1), state.ReferencedSeriesSequence[0].ReferencedImageSequence, strict=True):
        image.ReferencedFrameNumber = number
    receive(shop.node, state)
    named = ((phantoms.CT, many.SOPInstanceUID), (GRAYSCALE_STATE, STATE))
    ask(shop, Reference(STUDY, "", named))
    work(shop, PRINT_WORKITEM)
    [film] = films(shop)
    assert [box.image.presentation_state_uid for box in film.boxes] == [STATE, "", STATE]


@pytest.mark.parametrize("number", ["x", "0", "-1", "nan", "1e400"])
def test_a_presentation_state_of_frames_that_cannot_be(shop: Shop, number: str) -> None:
    state = state_for(f"{phantoms.UID}.1.1")
    state.ReferencedSeriesSequence[0].ReferencedImageSequence[0].add(frame_number_text(number))
    receive(shop.node, state)
    ask(shop, Reference(STUDY, "", ((phantoms.CT, f"{phantoms.UID}.1.1"), (GRAYSCALE_STATE, STATE))))
    work(shop)
    assert (row(shop).state, reason(shop)[0], states(shop)) == ("CANCELED", "110521", [])


def test_a_damaged_presentation_state(shop: Shop) -> None:
    """The item ends, and says why: nobody else could tell whoever waits for it."""
    receive(shop.node, state_for(f"{phantoms.UID}.1.1"))
    damage(shop, STATE)
    ask(shop, Reference(STUDY, "", ((phantoms.CT, f"{phantoms.UID}.1.1"), (GRAYSCALE_STATE, STATE))))
    work(shop, PRINT_WORKITEM)
    assert (row(shop).state, reason(shop)[0], states(shop)) == ("CANCELED", "110521", [])


def test_a_study_is_its_images(shop: Shop) -> None:
    receive(shop.node, state_for())
    ask(shop, Reference(STUDY))
    work(shop, PRINT_WORKITEM)
    [film] = films(shop)
    assert len(film.boxes) == SLICES


def test_a_presentation_state_that_is_missing(shop: Shop) -> None:
    ask(shop, presentation_state="9.9")
    work(shop)
    assert (row(shop).state, reason(shop)[0], states(shop)) == ("CANCELED", "110523", [])


def test_items_of_other_stations_and_nodes_without_printers_are_left(make_shop: MakeShop, shop: Shop) -> None:
    ask(shop, station="OTHER")
    ask(shop, station="FILM", uid="2.25.78")
    work(shop)
    look(shop)
    assert (row(shop).state, row(shop, "2.25.78").state) == ("SCHEDULED", "COMPLETED")


@pytest.mark.parametrize(
    "clients, by, state",
    [
        ("", "WS1", "COMPLETED"), ("", "WS2", "CANCELED"), ("", "STRANGER", "CANCELED"), ("", "MEDSERVER", "COMPLETED"),
        ("WS3", "WS3", "COMPLETED"), ("WS3", "WS1", "CANCELED"), ("WS3", "MEDSERVER", "COMPLETED"),
    ],
)  # fmt: skip
def test_who_may_print(make_shop: MakeShop, clients: str, by: str, state: str) -> None:
    shop = make_shop(ONE_PRINTER.replace("[ae WS1]", f"clients = {clients}\n[ae WS1]" if clients else "[ae WS1]"))
    store(shop)
    ask(shop, by=by)
    work(shop)
    look(shop)
    assert row(shop).state == state
    if state == "CANCELED":
        assert reason(shop) == ("110513", f"{by} may not print on FILM") and states(shop) == []


def test_an_item_waits_for_who_performs_it_where_there_are_no_printers(make_shop: MakeShop) -> None:
    shop = make_shop("[node]\ndata = data\n")
    store(shop)
    ask(shop)
    work(shop)
    assert row(shop).state == "SCHEDULED"


def test_cancel_before_it_is_begun(shop: Shop) -> None:
    ask(shop)
    request_cancel(shop.node, UID, "WS1")
    work(shop)
    assert (row(shop).state, states(shop)) == ("CANCELED", [])


def test_cancel_of_an_item_cancels_the_films_that_wait(shop: Shop) -> None:
    ask(shop, layout="2,2")
    work(shop, PRINT_WORKITEM)
    first, _ = shop.node.index.films.of_request(UID)
    change_film(shop.node, first.uid, Happening.HANDOVER_BEGUN)
    change_film(shop.node, first.uid, Happening.PRINTED)
    request_cancel(shop.node, UID, "WS1")
    look(shop, PRINT_WORKITEM)
    assert (row(shop).state, states(shop)) == ("CANCELED", ["DONE", "CANCELED"])
    assert reason(shop) == ("110513", "1 of 2 films printed; the others were cancelled")
    look(shop)
    assert len(shop.pages()) == 0  # neither of them was handed over


@pytest.mark.parametrize("happening, code_value", [(Happening.FAILED, "110501"), (Happening.CANCEL, "110513")])
def test_a_film_that_is_not_printed_ends_the_item(shop: Shop, happening: Happening, code_value: str) -> None:
    ask(shop, layout="2,2")
    work(shop, PRINT_WORKITEM)
    _, second = shop.node.index.films.of_request(UID)
    change_film(shop.node, second.uid, happening, detail="the drum is broken")
    look(shop, PRINT_WORKITEM)
    assert (row(shop).state, reason(shop)[0]) == ("CANCELED", code_value)
    assert states(shop) == ["CANCELED", "FAILURE" if happening is Happening.FAILED else "CANCELED"]


def test_progress_as_sheets_are_printed(shop: Shop) -> None:
    ask(shop, layout="1,1")
    work(shop, PRINT_WORKITEM)
    told = [value(progress(shop), "ProcedureStepProgress")]
    for each in shop.node.index.films.of_request(UID):
        change_film(shop.node, each.uid, Happening.HANDOVER_BEGUN)
        change_film(shop.node, each.uid, Happening.PRINTED)
        look(shop, PRINT_WORKITEM)
        told.append(value(progress(shop), "ProcedureStepProgress"))
    assert told == ["0.0", "20.0", "40.0", "60.0", "80.0", "100.0"]


def small_queue(make_shop: MakeShop, films_max: int) -> Shop:
    """Return a node whose printer lets so many films wait, with a series."""
    shop = make_shop(ONE_PRINTER.replace("output = pdf", f"output = pdf\nfilms_max = {films_max}"))
    store(shop)
    return shop


def test_films_that_are_queued_already_are_not_counted_again(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is lost when it has queued the films of an item, for all of which there is just room."""
    shop = small_queue(make_shop, 3)
    ask(shop, layout="1,2")

    def die(name: str) -> None:
        if name == "film queued":
            raise Lost(name)

    with monkeypatch.context() as patch:
        patch.setattr("medserver.printing.queue.crash_point", die)
        with pytest.raises(Lost):
            work(shop, PRINT_WORKITEM)
    assert states(shop) == ["PENDING"] * 3
    look(shop, PRINT_WORKITEM)
    assert value(progress(shop), "ProcedureStepProgressDescription") == "0 of 3 films printed"


def test_the_films_of_an_item_are_queued_together_or_not_at_all(make_shop: MakeShop) -> None:
    shop = small_queue(make_shop, 3)
    ask(shop, layout="5,1", uid="2.25.78")
    work(shop, PRINT_WORKITEM)
    ask(shop, layout="1,2")
    work(shop, PRINT_WORKITEM)
    assert states(shop) == []
    for _ in range(3):
        look(shop)
    assert (row(shop).state, states(shop)) == ("COMPLETED", ["DONE"] * 3)


def test_more_films_than_may_ever_wait_are_refused(make_shop: MakeShop) -> None:
    shop = small_queue(make_shop, 2)
    ask(shop, layout="1,2")
    work(shop)
    assert (row(shop).state, states(shop)) == ("CANCELED", [])
    assert reason(shop)[1] == "3 films: 2 may wait for printer FILM"


@pytest.mark.parametrize("moment", ["images fetched", "print item started", "film queued", "print item completed"])
@pytest.mark.parametrize("cancels", [False, True])
def test_a_worker_is_lost(shop: Shop, monkeypatch: pytest.MonkeyPatch, moment: str, cancels: bool) -> None:
    """What it had begun goes on with the next one: each film once, also where somebody cancels meanwhile."""
    ask(shop, layout="2,2")

    def die(name: str) -> None:
        if name == moment:
            raise Lost(name)

    with monkeypatch.context() as patch:
        for module in ("pulling.performing", "queue"):
            patch.setattr(f"medserver.printing.{module}.crash_point", die)
        with pytest.raises(Lost):
            for _ in range(3):
                look(shop)
    is_late = moment == "print item completed"
    if cancels and not is_late:
        request_cancel(shop.node, UID, "WS1")
    shop.clock.advance(600)
    shop.node.index.jobs.sweep({kind.name: kind.attempts_max for kind in JOB_KINDS})
    for _ in range(3):
        look(shop)
    assert row(shop).state == ("CANCELED" if cancels and not is_late else "COMPLETED")
    assert set(states(shop)) <= ({"CANCELED", "DONE"} if cancels else {"DONE"})
    if not cancels or is_late:
        assert len(shop.pages()) == 2
    assert list(shop.node.index.jobs.list()) == []


@pytest.mark.parametrize("pair", list(itertools.product(STATES, STATES)), ids="-".join)
@pytest.mark.parametrize("cancels", [False, True])
def test_the_table_of_steps(shop: Shop, pair: tuple[str, str], cancels: bool) -> None:
    """Every pair of states of two films, and every wish: the item ends as the films do, and leaves none waiting."""
    ways = {
        "PENDING": (), "PRINTING": (Happening.HANDOVER_BEGUN,), "FAILURE": (Happening.FAILED,),
        "DONE": (Happening.HANDOVER_BEGUN, Happening.PRINTED), "CANCELED": (Happening.CANCEL,),
    }  # fmt: skip
    ask(shop, layout="2,2")
    work(shop, PRINT_WORKITEM)
    for each, state in zip(shop.node.index.films.of_request(UID), pair, strict=True):
        for happening in ways[state]:
            change_film(shop.node, each.uid, happening)
    if cancels:
        request_cancel(shop.node, UID, "WS1")
    look(shop, PRINT_WORKITEM)
    ended = {"DONE", "FAILURE", "CANCELED"}
    if pair == ("DONE", "DONE"):
        assert row(shop).state == "COMPLETED"
    elif cancels or {"FAILURE", "CANCELED"} & set(pair):
        assert row(shop).state == "CANCELED" and set(states(shop)) <= ended
    else:
        assert row(shop).state == "IN PROGRESS" and tuple(states(shop)) == pair


def test_the_table_is_whole() -> None:
    assert set(STEPS) == set(itertools.product(Films, (False, True)))
    assert set(STEPS.values()) == set(Step)
    assert films_in([], 0) is Films.LACKING
    assert films_in(["DONE"], 2) is Films.FAILED  # one is forgotten
    assert films_in(["PENDING"], 2) is Films.FAILING


def test_what_is_written_is_read() -> None:
    samples = {"window": "40,400", "copies": "3", "image_width": "120", "presentation_state": "1.2", "printer": "FILM"}
    given = {
        each.name: samples.get(each.name, each.choices[-1] if each.choices else "2,3") for each in PARAMETERS
    }
    references = (Reference(STUDY, SERIES, ((phantoms.CT, "1.2"),), "SERVER", (("1.2", (2, 3)),)),)
    content = attribute_list_of(given, references, datetime.now(UTC))
    read = request_of(content)
    assert read.references == references
    assert (read.format.copies, read.format.window, read.format.layout) == (3, (40.0, 400.0), "STANDARD\\2,3")
    assert read.format == replace(read.format, printer="FILM", missing="mark", polarity="REVERSE")
    with pytest.raises(UnusableParameters):
        attribute_list_of({"layuot": "2,3"}, references, datetime.now(UTC))
