"""``medserver move``: let a remote AE send what it has to a third one (C-MOVE, PS3.4 C.4.2)."""

from __future__ import annotations

import time

import click

from medserver.cli.frames import frames_option
from medserver.cli.invocation import echo_json, json_option
from medserver.cli.model import Target, target_options
from medserver.cli.outcome import Outcome, outcome_of
from medserver.cli.peer import Peer, failure, peer_argument
from medserver.cli.progress import progress
from medserver.cli.responses import FAILURE
from medserver.cli.text import count_in_words
from medserver.config.values import parse_ae_title
from medserver.dicom import status
from medserver.dicom.frame_lists import FrameKeys
from medserver.errors import BadUsage
from medserver.scu import query, retrieve


@click.command()
@peer_argument
@click.option(
    "--to",
    "-aem",
    "destination",
    metavar="AE",
    required=True,
    help="The AE title to send to, as PEER knows it.",
)
@target_options
@frames_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, peer: Peer, destination: str, target: Target, frames: FrameKeys | None, as_json: bool
) -> None:
    """Have PEER send patients, studies, series or images to another AE.

    PEER is the name of an [ae NAME] entry or AE@host:port.

    For example: medserver move PACS --to WORKSTATION -k StudyInstanceUID=1.2.3
    """
    try:
        destination = parse_ae_title(destination)
    except ValueError as error:
        raise BadUsage(str(error)) from None
    target.check_unique_key()
    if frames is not None:
        target = target.of_frames(frames)
    started_at = time.monotonic()
    outcome = _move(peer, destination, target, not as_json)
    seconds = time.monotonic() - started_at
    if as_json:
        echo_json(
            {"peer": str(peer.address), "destination": destination, **outcome.described(), "seconds": seconds}
        )
    else:
        for sop_instance_uid in outcome.failed_uids:
            click.echo(f"not sent: {sop_instance_uid}", err=True)
        click.echo(f"{peer.address} sent {_how_many(outcome)} to {destination} in {seconds:.1f} s{outcome.remark()}")
    ctx.exit(0 if outcome.succeeded else FAILURE)


def _how_many(outcome: Outcome) -> str:
    if outcome.is_counted:
        return count_in_words(outcome.delivered, "instance")
    return "all that matches" if outcome.succeeded else "an unknown number of instances"


def _move(peer: Peer, destination: str, target: Target, with_bar: bool) -> Outcome:
    """Send the C-MOVE and follow it to its end.

    Raises
    ------
    RemoteError
        The remote AE cannot be reached, or performs no sub-operation at all.
    """
    sop_class_uid = target.model.move
    proposals = [query.proposal(sop_class_uid)]
    with (
        peer.associated(proposals, target.extended(sop_class_uid)) as association,
        progress("sending", with_bar) as bar,
    ):
        outcome = None
        for response in retrieve.move(association, sop_class_uid, target.identifier, destination):
            outcome = outcome_of(response, outcome)
            bar.expect(outcome.total)
            bar.reach(outcome.done)
    if status.is_failure(response.code) and not outcome.done:
        raise failure(peer, "C-MOVE", response)
    return outcome
