"""An external program is applied to the objects of a work item."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medserver.errors import NoSuchWorkitem, UnusableParameters, WorkitemIsFinal, WorkitemNotInProgress
from medserver.index.derivations import DerivedInstance
from medserver.log import Event
from medserver.node import Node
from medserver.processing.commands.examination import examine, written
from medserver.processing.commands.execution import Ended, check_end, execute
from medserver.processing.commands.folders import arrange, make_removable, read_result, write_task
from medserver.processing.commands.invocation import Place, invocation
from medserver.processing.parameters import check
from medserver.processing.types import ProcessingType
from medserver.workitems import performing

RENEW = "medserver.processing.commands.renewal:renew"

NOTIFICATION = "__mercure_notification"
"""The member of ``result.json`` with what a module of mercure wants people to read: an object with a ``text``."""

logger = logging.getLogger(__name__)


def apply_command(
    node: Node,
    kind: ProcessingType,
    parameters: Mapping[str, object],
    workitem_uid: str,
    folders: tuple[Path, Path],
    inputs: Sequence[DerivedInstance],
    moment: str,
    unless: Callable[[], bool],
) -> None:
    """Have a program make files of files, all of which can come in.

    Parameters
    ----------
    node : Node
        The node.
    kind : ProcessingType
        The type, with a `command`.
    parameters : Mapping
        What was given, unchecked.
    workitem_uid : str
        The SOP Instance UID of the work item.
    folders : tuple of (Path, Path)
        Of what goes in, with Part 10 files; and of what comes out, empty.
    inputs : sequence of DerivedInstance
        What goes in.
    moment : str
        When the work began, ``YYYYMMDDHHMMSS``.
    unless : callable
        Tells whether nobody wants it any longer.

    Raises
    ------
    CannotProcess
        Each subclass of it.
    WorkStopped
        Nobody wants it any longer.
    """
    entry = kind.command
    if entry is None:
        raise UnusableParameters(f"{kind.name} is no external program")
    values = check(kind.parameters, parameters)
    place = Place(*folders, folders[0].parent / "work")
    place.work.mkdir()
    given = arrange(kind, place.inputs)
    write_task(place.inputs, kind, values, workitem_uid, node.config.current.node.ae_title, given)
    how = invocation(entry, place, values, f"medserver-{uuid.uuid4().hex}")
    logger.debug(Event("program", sop_instance_uid=workitem_uid, type=kind.name, arguments=" ".join(how.arguments)))
    try:
        ended = execute(entry, how, place, unless)
    finally:
        make_removable(place.inputs.parent)
    _log(kind, workitem_uid, ended)
    _report(node, kind, workitem_uid, place)
    check_end(entry, ended)
    written(place)
    if entry.new_uids:
        arguments = (kind.name, kind.version, kind.meaning, str(place.inputs), str(place.outputs), values)
        node.processors.run(RENEW, *arguments, workitem_uid, moment, unless=unless)
    examine(node, place, given, inputs, unless)


def _log(kind: ProcessingType, workitem_uid: str, ended: Ended) -> None:
    """Log what a program said; only for who asks for it, for there may be patients' names in it."""
    if logger.isEnabledFor(logging.DEBUG):
        for line in ended.output.splitlines():
            logger.debug(Event("program said", sop_instance_uid=workitem_uid, type=kind.name, line=line))


def _report(node: Node, kind: ProcessingType, workitem_uid: str, place: Place) -> None:
    """Tell what the program says of its work to those who look at the work item."""
    result = read_result(place.outputs)
    if result is None:
        return
    notification = result.get(NOTIFICATION)
    text = notification.get("text") if isinstance(notification, dict) else None
    logger.info(Event("result", sop_instance_uid=workitem_uid, type=kind.name, members=",".join(map(str, result))))
    logger.debug(Event("result", sop_instance_uid=workitem_uid, type=kind.name, content=str(result)))
    if isinstance(text, str) and text:
        try:
            performing.report(node, workitem_uid, text=text)
        except (NoSuchWorkitem, WorkitemIsFinal, WorkitemNotInProgress):
            logger.debug(Event("result not told", sop_instance_uid=workitem_uid))
