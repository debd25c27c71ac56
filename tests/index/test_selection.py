"""What a retrieve is about."""

from __future__ import annotations

from medserver.index import GOOD, Index, StoredCopy
from medserver.index.find.selection import PAGE_ROWS
from tests.index.samples import CT, EXPLICIT, IMPLICIT, MR, conditions, forget, record


def test_instances_come_by_study_series_and_number(index: Index) -> None:
    for study in (1, 2):
        for series in (1, 2):
            for number in (10, 9, 2, 1):
                index.add(record(study, series, number, patient_id="P", patient_name="A"))
    selection = index.select(conditions(PatientID="P"))
    assert [stored.sop_instance_uid for stored in selection] == [
        f"1.2.{study}.{series}.{number}" for study in (1, 2) for series in (1, 2) for number in (1, 2, 9, 10)
    ]


def test_contexts_count_what_has_to_be_sent(index: Index) -> None:
    index.add(record(number=1, sop_class_uid=MR))
    index.add(record(number=2, transfer_syntax_uid=IMPLICIT))
    index.add(record(number=3))
    index.add(record(number=4))
    index.add(record(study=2))
    selection = index.select(conditions(StudyInstanceUID="1.2.1"))
    assert selection.count == len(selection) == 4
    assert selection.contexts[0] == (CT, EXPLICIT, 2)
    assert set(selection.contexts[1:]) == {(MR, EXPLICIT, 1), (CT, IMPLICIT, 1)}


def test_a_selection_tells_where_to_read(index: Index) -> None:
    item = record()
    index.add(item)
    [stored] = index.select(conditions(SOPInstanceUID=item.sop_instance_uid))
    assert stored == StoredCopy(
        volume="main",
        path=item.path,
        data_set_offset=300,
        meta_digest=item.meta_digest,
        state=GOOD,
        verified_at=None,
        sop_instance_uid=item.sop_instance_uid,
        sop_class_uid=CT,
        transfer_syntax_uid=EXPLICIT,
        digest=item.digest,
        size_bytes=1000,
        received_at=item.received_at,
        calling_ae_title=item.calling_ae_title,
        is_current=True,
        receipts=1,
        study_instance_uid="1.2.1",
    )


def test_objects_put_aside_are_not_selected(index: Index) -> None:
    first = record()
    index.add(first)
    index.add(record(content="other"))
    assert [stored.path for stored in index.select(())] == [first.path]


def test_a_selection_can_be_read_again_and_leaves_out_what_is_gone(index: Index) -> None:
    items = [record(number=number) for number in range(PAGE_ROWS + 20)]
    for item in items:
        index.add(item)
    selection = index.select(())
    assert len(list(selection)) == len(items)
    forget(index, "main", items[0].path)
    assert len(list(selection)) == len(items) - 1
    assert selection.count == len(items)


def test_nothing_matches(index: Index) -> None:
    selection = index.select(conditions(PatientID="nobody"))
    assert (selection.count, selection.contexts, list(selection)) == (0, [], [])
