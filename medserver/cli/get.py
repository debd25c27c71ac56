"""``medserver get``: fetch from a remote AE into a folder (C-GET, PS3.4 C.4.3)."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack
from pathlib import Path

import click

from medserver import codecs
from medserver.cli.frames import frames_option
from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.model import Target, target_options
from medserver.cli.outcome import Outcome, outcome_of
from medserver.cli.parameters import NamedPath
from medserver.cli.peer import Peer, failure, peer_argument
from medserver.cli.progress import Progress, progress
from medserver.cli.recoding import transcode_files
from medserver.cli.responses import FAILURE
from medserver.cli.text import count_in_words, printable, size_in_words
from medserver.dicom import status
from medserver.dicom.attributes import LEVELS, UNIQUE_KEYS
from medserver.dicom.frame_lists import FrameKeys
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from medserver.errors import AssociationAborted, AssociationRejected
from medserver.scu import query, retrieve
from medserver.scu.acceptance import storage_groups
from medserver.scu.files import find_instances
from medserver.scu.holdings import sop_classes_of
from medserver.scu.received import ReceivedFiles
from medserver.wire.requestor import Proposal


@click.command()
@peer_argument
@click.argument("directory", type=NamedPath(file_okay=False))
@click.option("--decompress", is_flag=True, help="Write compressed images uncompressed, as they once were.")
@target_options
@frames_option
@json_option
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context,
    invocation: Invocation,
    peer: Peer,
    directory: Path,
    decompress: bool,
    target: Target,
    frames: FrameKeys | None,
    as_json: bool,
) -> None:
    """Fetch patients, studies, series or images from PEER into DIRECTORY.

    PEER is the name of an [ae NAME] entry or AE@host:port. Each image becomes a file with its SOP Instance UID as its
    name; one that is there already is replaced. Data sets are kept as they come, byte for byte, or decompressed.

    For example: medserver get PACS images -k StudyInstanceUID=1.2.3
    """
    target.check_unique_key()
    wanted = target if frames is None else target.of_frames(frames)
    directory.mkdir(parents=True, exist_ok=True)
    started_at = time.monotonic()
    with progress("fetching", not as_json) as bar:
        size_max_bytes = invocation.config.limits.object_size_max_bytes
        files = ReceivedFiles(directory, peer.address.ae_title, size_max_bytes, lambda _: bar.advance())
        try:
            outcome = _get(peer, target, wanted, files, bar)
        finally:  # whatever the remote AE makes of it: it may abort, or say nothing of the reason
            for sop_instance_uid, problem in files.problems.items():
                bar.echo(f"not received: {sop_instance_uid}: {problem}")
    if decompress:
        _decompress([directory / f"{uid}.dcm" for uid in sorted(files.sop_instance_uids)])
    seconds = time.monotonic() - started_at
    if as_json:
        document = {
            "peer": str(peer.address),
            **outcome.described(),
            "bytes": files.size_bytes,
            "seconds": seconds,
        }
        echo_json(document)
    else:
        for sop_instance_uid in (uid for uid in outcome.failed_uids if uid not in files.problems):
            click.echo(f"not received: {sop_instance_uid}", err=True)
        instances, size = count_in_words(outcome.delivered, "instance"), size_in_words(files.size_bytes)
        click.echo(f"received {instances}, {size} in {seconds:.1f} s into {directory}{outcome.remark()}")
    ctx.exit(0 if outcome.succeeded else FAILURE)


def _get(peer: Peer, target: Target, wanted: Target, files: ReceivedFiles, bar: Progress) -> Outcome:
    """Fetch over as many associations as it takes until nothing is missing.

    An association has room for 128 presentation contexts. What finds no context of its SOP class in the first one is
    reported as failed by the remote AE; the next association proposes other SOP classes and nothing of what is here,
    so that no instance comes twice.

    Parameters
    ----------
    target, wanted : Target
        What the instances are looked up by, and what is fetched: the same, or frames of the one.

    Raises
    ------
    RemoteError
        The remote AE cannot be reached, or performs no sub-operation at all.
    """
    outcomes = []
    for contexts in storage_groups(_sop_classes(peer, target, of_frames=wanted is not target)):
        outcomes.append(_get_in(peer, wanted, contexts, files, bar))
        if outcomes[-1].code == status.SUCCESS or outcomes[-1].code == status.CANCEL:
            break
    return _joined(outcomes, files)


def _decompress(paths: list[Path]) -> None:
    """Bring files into Explicit VR Little Endian in their places; what cannot be stays, and a line says why."""
    with ExitStack() as archives, codecs.Workers() as workers:
        found = [
            one
            for one in find_instances(paths, archives)
            if one.outgoing and transfer_syntax(one.outgoing.transfer_syntax_uid).encapsulated
        ]
        for one in transcode_files(found, Path, EXPLICIT_VR_LITTLE_ENDIAN, workers, processes=2, overwrite=True):
            if one.kept or one.problem:
                click.echo(f"{printable(one.name)}: still compressed, {printable(one.kept or one.problem)}", err=True)


def _sop_classes(peer: Peer, target: Target, of_frames: bool) -> set[str] | None:
    """Ask which SOP classes will come; None if the remote AE does not tell.

    Frames are asked for without study and series (PS3.4 Y.3.1): then their instance is looked up relationally.
    """
    if target.model.storage_sop_classes:
        return set(target.model.storage_sop_classes)
    unique = [UNIQUE_KEYS[level] for level in LEVELS]
    keys = {key: target.identifier[key].value for key in unique if target.identifier.get(key)}
    find = target.model.find
    try:
        with peer.associated([query.proposal(find)], {find: query.RELATIONAL} if of_frames else {}) as association:
            has_all_keys = all(UNIQUE_KEYS[level] in keys for level in target.model.levels)
            if of_frames and not has_all_keys and not query.relational_agreed(association, find):
                return None
            return sop_classes_of(association, find, target.level, keys)
    except (AssociationRejected, AssociationAborted):
        return None  # not every AE that may be fetched from may be queried


def _get_in(
    peer: Peer, target: Target, contexts: list[Proposal], files: ReceivedFiles, bar: Progress
) -> Outcome:
    """Fetch over one association."""
    get = target.model.get
    with peer.associated([query.proposal(get), *contexts], target.extended(get)) as association:
        outcome = None
        for response in retrieve.get(association, get, target.identifier, files.receive):
            outcome = outcome_of(response, outcome)
            bar.expect(outcome.total)
    if status.is_failure(response.code) and not outcome.done:
        raise failure(peer, "C-GET", response)
    return outcome


def _joined(outcomes: list[Outcome], files: ReceivedFiles) -> Outcome:
    """Return what became of everything: failed is what no association has brought.

    The remote AE decides what there is, this side what has arrived.
    """
    received = files.sop_instance_uids
    named = dict.fromkeys(uid for outcome in outcomes for uid in outcome.failed_uids if uid not in received)
    total = max(outcome.total for outcome in outcomes)
    warning = sum(outcome.warning for outcome in outcomes)
    failed = max(len(named), total - len(received), 0)
    code = outcomes[-1].code
    if not failed and code != status.CANCEL:
        code = status.SUBOPERATIONS_WARNING if warning else status.SUCCESS
    return dataclasses.replace(
        outcomes[-1],
        code=code,
        remaining=0,
        completed=len(received) - warning,
        failed=failed,
        warning=warning,
        failed_uids=tuple(named),
        is_counted=True,
    )
