"""What the audit trail tells of films: images leave on them (PS3.15 A.5.3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from medserver import trail
from medserver.audit import Actor, AuditRow, events
from medserver.audit.codes import FILM, MEDIA_URI, PAPER, SERIOUS_FAILURE, SUCCESS, Code
from medserver.config.printer import IPP, PDF
from medserver.errors import CannotUnderstand
from medserver.index import FilmRow, Subject
from medserver.node import Node
from medserver.printing.film import Film, ReferencedImage, film_of
from medserver.trail.subjects import by_patient

_MEDIA = {PDF: MEDIA_URI, IPP: PAPER}
"""The output of a printer -> what it makes; of others it is film."""


def rows_of_end(node: Node, uid: str, *, is_printed: bool) -> list[AuditRow]:
    """Return what is told of a film that was printed, or failed for good; nothing if there is none of this UID.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    row = node.index.films.get(uid)
    if row is None:
        return []
    about = list(by_patient(_subjects(node, row)))
    ours = trail.node_actor(node.config.current)
    event = events.data_export(
        ours,
        ours if row.requested_by == ours.ae_title else Actor(row.requested_by),
        f"{_media(node, row).meaning} at {row.printer}",
        _media(node, row),
        [patient for patient, _ in about],
        [study for _, studies in about for study in studies],
        SUCCESS if is_printed else SERIOUS_FAILURE,
        "" if is_printed else "not printed",
    )
    return trail.rows(node, [event])


def _media(node: Node, row: FilmRow) -> Code:
    printer = node.config.current.printer(row.printer)
    return _MEDIA.get(printer.output if printer else "", FILM)


def _subjects(node: Node, row: FilmRow) -> Sequence[Subject]:
    """Return whose images they are; nothing of those that a Print SCU has sent: it sends pixels."""
    try:
        film: Film = film_of(row.content)
    except CannotUnderstand:
        return ()
    images = [box.image for box in film.boxes if isinstance(box.image, ReferencedImage)]
    known = node.index.subjects_of(dict.fromkeys(image.sop_instance_uid for image in images))
    if known:
        return known
    # fetched from another AE: what the film says of them
    return [
        Subject(image.study_instance_uid, "", "", "", image.sop_class_uid, 1)
        for image in {image.study_instance_uid: image for image in images}.values()
    ]
