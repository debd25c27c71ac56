"""``medserver processing run``: images of this node are processed now, and the end is waited for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import click

from medserver.cli.frames import frames_option
from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.responses import TEMPORARY_FAILURE
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.config.processing import parse_types
from medserver.config.values import duration
from medserver.dicom.uids import is_valid_uid
from medserver.errors import BadUsage

if TYPE_CHECKING:
    from medserver.dicom.frame_lists import FrameKeys
    from medserver.node import Node
    from medserver.processing.outcome import Ended

LOOK_EVERY_S = 0.2
_PRIORITIES = ("HIGH", "MEDIUM", "LOW")
_TIMEOUT = duration(0.1, 7 * 86_400)


@click.command()
@click.argument("types", metavar="TYPE[,TYPE...]")
@click.argument("uids", metavar="STUDY|SERIES|INSTANCE...", nargs=-1, required=True)
@click.option("--set", "parameters", metavar="NAME=VALUE", multiple=True, help="A parameter. May be repeated.")
@click.option("--outputs", metavar="NUMBERS", help="Only these of what the first type makes, such as 10-20,25.")
@frames_option
@click.option("--to", "destinations", metavar="AE", multiple=True, help="Who gets the results. May be repeated.")
@click.option(
    "--priority", type=click.Choice(_PRIORITIES, case_sensitive=False), default="MEDIUM", show_default=True,
    help="What is processed first if several wait.",
)  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait for the end, and tell what was made.")
@click.option("--timeout", metavar="DURATION", default="1 h", show_default=True, help="How long to wait at most.")
@json_option
@pass_invocation
def run(
    invocation: Invocation,
    types: str,
    uids: tuple[str, ...],
    parameters: tuple[str, ...],
    outputs: str | None,
    frames: FrameKeys | None,
    destinations: tuple[str, ...],
    priority: str,
    wait: bool,
    timeout: str,
    as_json: bool,
) -> None:
    """Have images of this node processed, and write the UID of the work item.

    It is performed by the workers of the node, or of any other of the same index. There is a work item for each study,
    or for each series if the type takes one at a time. Of a STUDY that is what was received: results of an earlier
    processing are named by their series. Several TYPEs make a chain: each is applied to what the one
    before has made, and --to gets what the last one has made. A parameter of a later one is TYPE.NAME, or NAME if no
    earlier one has it.

    With --wait the exit code tells what became of it: 0 if results are there, 75 if they are not by the end of
    --timeout, else that of the reason.

    For example: medserver processing run reformat 1.2.3 --set orientation=sagittal --to WS1 --wait
    """
    given = _parameters(parameters, outputs)
    timeout_s = _timeout_s(timeout)
    for uid in uids:
        if not is_valid_uid(uid):
            raise BadUsage(f"{printable(uid, CELL_LENGTH_MAX) or 'an empty text'} is not a UID")
    if frames is not None and len(uids) > 1:
        raise BadUsage("--frames is for one instance")
    from medserver.node import open_node  # --help does without
    from medserver.processing.asking import ask

    with closing(open_node(invocation.config_file)) as node:
        items = ask(node, _types(types), given, uids, destinations, priority, frames)
        if not wait:
            _tell(items, as_json)
            return
        if not as_json:
            _tell(items, as_json)
        _follow(node, items, timeout_s, as_json)


def _types(text: str) -> tuple[str, ...]:
    try:
        return parse_types(text)
    except ValueError as error:
        raise BadUsage(str(error)) from None


def _parameters(texts: Iterable[str], outputs: str | None) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise BadUsage(f"--set {printable(text, CELL_LENGTH_MAX)} is not NAME=VALUE")
        given[name.strip()] = value.strip()
    return given if outputs is None else given | {"outputs": outputs}


def _timeout_s(text: str) -> float:
    try:
        return float(_TIMEOUT.parse(text))
    except ValueError as error:
        raise BadUsage(f"--timeout: {error}") from None


def _tell(items: list[str], as_json: bool) -> None:
    if as_json:
        echo_json({"workitems": items})
        return
    for uid in items:
        click.echo(uid)


def _follow(node: Node, items: list[str], timeout_s: float, as_json: bool) -> None:
    """Wait until all items have ended, and those that follow from them; tell what was made, or why nothing was.

    Raises
    ------
    CannotProcess
        One was cancelled: the class below it that its reason stands for.
    """
    from medserver.processing.outcome import ended

    deadline = time.monotonic() + timeout_s
    found: dict[str, Ended] = {}
    while len(found) < len(items):
        found |= {uid: one for uid in items if uid not in found and (one := ended(node, uid)) is not None}
        if len(found) < len(items):
            if time.monotonic() > deadline:
                break
            time.sleep(LOOK_EVERY_S)
    if as_json:
        echo_json([_described(uid, found.get(uid)) for uid in items])
    else:
        for uid in items:
            if uid in found:
                _tell_outputs(found[uid])
    refused = next((one.error for one in found.values() if one.error is not None), None)
    if refused is not None:
        raise refused
    if len(found) < len(items):
        left = next(uid for uid in items if uid not in found)
        click.echo(f"medserver: work item {left} has not ended yet: medserver workitem watch {left}", err=True)
        click.get_current_context().exit(TEMPORARY_FAILURE)


def _tell_outputs(one: Ended) -> None:
    for part in one.outputs:
        click.echo(f"series {part.series_instance_uid}: {count_in_words(len(part.instances), 'instance')}")


def _described(uid: str, one: Ended | None) -> Mapping[str, object]:
    if one is None:
        return {"workitem": uid, "state": None, "outputs": [], "reason": None}
    outputs = [
        {
            "study_instance_uid": part.study_instance_uid,
            "series_instance_uid": part.series_instance_uid,
            "instances": [sop_instance_uid for _, sop_instance_uid in part.instances],
        }
        for part in one.outputs
    ]
    return {
        "workitem": uid,
        "last_workitem": one.sop_instance_uid,
        "state": one.state,
        "outputs": outputs,
        "reason": str(one.error) if one.error is not None else None,
    }
