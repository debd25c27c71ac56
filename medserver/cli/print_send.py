"""``medserver print send``: images are printed here, or by the hard-copy device that another AE is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.peer import Peer, at_option
from medserver.cli.responses import FAILURE, TEMPORARY_FAILURE
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.config.values import duration
from medserver.dicom.uids import is_valid_uid, new_uid
from medserver.errors import BadUsage
from medserver.printing.format import PARAMETERS

if TYPE_CHECKING:
    from medserver.node import Node
    from medserver.processing.requests import Reference

LOOK_EVERY_S = 0.2
_ENDED = ("DONE", "FAILURE", "CANCELED")
_TIMEOUT = duration(0.1, 7 * 86_400)


def format_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for each parameter of format information; it receives those that were given."""
    for parameter in reversed(PARAMETERS):
        names = [f"--{parameter.name.replace('_', '-')}", parameter.name]
        if parameter.name == "printer":
            names[0] = "--to"
        kind = click.Choice(parameter.choices, case_sensitive=False) if len(parameter.choices) in range(1, 6) else None
        default = parameter.default_text()
        metavar = None if kind else "NAME" if parameter.name == "printer" else parameter.name.upper()
        option = click.option(
            *names, metavar=metavar, type=kind, show_default=default or False, help=f"{parameter.meaning}."
        )
        function = option(function)
    return function


@click.command()
@click.argument("uids", metavar="UID...", nargs=-1, required=True)
@format_options
@click.option(
    "--priority", type=click.Choice(("HIGH", "MEDIUM", "LOW"), case_sensitive=False), default="MEDIUM",
    show_default=True, help="What is printed first if several films wait.",
)  # fmt: skip
@click.option("--from", "source", metavar="AE", help="Fetch the images from this AE (its AE title) first.")
@at_option
@click.option("--wait", is_flag=True, help="Wait until it is printed.")
@click.option("--timeout-wait", metavar="DURATION", default="10 min", show_default=True, help="How long at most.")
@json_option
@pass_invocation
def send(
    invocation: Invocation,
    uids: tuple[str, ...],
    priority: str,
    source: str | None,
    peer: Peer | None,
    wait: bool,
    timeout_wait: str,
    as_json: bool,
    **options: str | None,
) -> None:
    """Print images, and write the UIDs of the films; or of the work item, if another AE has to do with it.

    A UID is that of a study, a series or an instance of this node; behind an instance may stand its frames,
    1.2.3:5,7-9. A presentation state is applied to the images that it is for, and a Basic Structured Display is
    printed with its own layout.

    With --at AE that AE prints: it gets a work item with the format and the UIDs, and fetches the images from here, or
    from the AE that --from names. With --from, images need not be known here: they are named by STUDY,
    STUDY/SERIES or STUDY/SERIES/INSTANCE.

    For example: medserver print send 1.2.3 --to film --layout 2,3
    """
    given = {name: text for name, text in options.items() if text is not None}
    timeout_s = _timeout_s(timeout_wait)
    for uid in uids:
        if not all(map(is_valid_uid, uid.partition(":")[0].split("/"))):
            raise BadUsage(f"{printable(uid, CELL_LENGTH_MAX) or 'an empty text'} is not a UID")
    if peer is not None or source is not None:
        _request(invocation, uids, given, priority, source, peer, timeout_s if wait else 0.0, as_json)
        return
    from medserver.node import open_node  # --help does without
    from medserver.printing.asking import print_instances

    with closing(open_node(invocation.config_file)) as node:
        requested_by = node.config.current.node.ae_title
        films = print_instances(node, uids, given, requested_by=requested_by, priority=priority)
        states = _waited(lambda: _states(node, films), timeout_s if wait else 0.0)
    _tell(films, states, as_json)
    if wait:
        _exit(states)


def _timeout_s(text: str) -> float:
    try:
        return float(_TIMEOUT.parse(text))
    except ValueError as error:
        raise BadUsage(f"--timeout-wait: {error}") from None


def _states(node: Node, films: Sequence[str]) -> dict[str, str]:
    rows = {uid: node.index.films.get(uid) for uid in films}
    return {uid: row.state if row is not None else "DONE" for uid, row in rows.items()}


def _waited(states_now: Callable[[], dict[str, str]], timeout_s: float) -> dict[str, str]:
    """Return the states of films when all have ended, or the time has."""
    deadline = time.monotonic() + timeout_s
    while True:
        states = states_now()
        if all(state in _ENDED for state in states.values()) or time.monotonic() >= deadline:
            return states
        time.sleep(LOOK_EVERY_S)


def _tell(films: Sequence[str], states: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        echo_json({"films": [{"uid": uid, "state": states[uid]} for uid in films]})
        return
    for uid in films:
        click.echo(uid)


def _exit(states: Mapping[str, str]) -> None:
    printed = sum(1 for state in states.values() if state == "DONE")
    if printed == len(states):
        return
    click.echo(f"medserver: {printed} of {count_in_words(len(states), 'film')} printed", err=True)
    waits = any(state not in _ENDED for state in states.values())
    click.get_current_context().exit(TEMPORARY_FAILURE if waits else FAILURE)


# By a work item


def _request(
    invocation: Invocation,
    uids: Sequence[str],
    given: Mapping[str, str],
    priority: str,
    source: str | None,
    peer: Peer | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Create a work item, here or at another AE; wait for its end if there is time for that."""
    from datetime import UTC, datetime

    from medserver.cli.workitem_places import place_of
    from medserver.printing.pulling.request import attribute_list_of
    from medserver.workitems.content import value
    from medserver.workitems.outcomes import FINAL

    references = _named(invocation, uids, source)
    attributes = attribute_list_of(given, references, datetime.now(UTC), priority=priority)
    with place_of(invocation, peer) as place:
        made, remark = place.create(new_uid(), attributes)
    if remark:
        click.echo(printable(remark), err=True)
    state, deadline = "SCHEDULED", time.monotonic() + timeout_s
    while timeout_s and state not in FINAL and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        with place_of(invocation, peer) as place:
            state = value(place.get(made), "ProcedureStepState")
    if as_json:
        echo_json({"workitem": made, "state": state})
    else:
        click.echo(made)
    if timeout_s and state != "COMPLETED":
        click.echo(f"medserver: the work item is {state}", err=True)
        click.get_current_context().exit(FAILURE if state in FINAL else TEMPORARY_FAILURE)


def _named(invocation: Invocation, uids: Sequence[str], source: str | None) -> list[Reference]:
    """Return what is to be printed, and where it can be fetched: from the AE of `source`, or from this node."""
    from dataclasses import replace

    from medserver.node import open_node
    from medserver.printing.asking import references_named, with_frames
    from medserver.processing.requests import Reference

    if source is None:
        with closing(open_node(invocation.config_file)) as node:
            ours = node.config.current.node.ae_title
            return [replace(each, retrieve_ae_title=ours) for each in references_named(node, uids)]
    found: list[Reference] = []
    remote = invocation.config.remote_by_name(source)
    for text in uids:
        path, _, numbers = text.partition(":")
        study, series, instance = (*path.split("/"), "", "")[:3]
        named = (("", instance),) if instance else ()
        where = remote.ae_title if remote is not None else source
        found.append(with_frames(Reference(study, series, named, where), numbers))
    return found
