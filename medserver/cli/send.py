"""``medserver send``: register files at a remote AE (C-STORE, PS3.4 B)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from medserver import codecs
from medserver.cli.invocation import echo_json, json_option
from medserver.cli.parameters import NamedPath
from medserver.cli.peer import COMMENT_LENGTH_MAX, Peer, peer_argument
from medserver.cli.progress import Progress, progress
from medserver.cli.responses import FAILURE
from medserver.cli.text import count_in_words, printable, size_in_words
from medserver.config.values import parse_transfer_syntaxes
from medserver.dicom import status
from medserver.errors import BadUsage
from medserver.scu import releasing
from medserver.scu.files import Finding, find_instances
from medserver.scu.sender import StorageSender
from medserver.scu.storage import Outgoing
from medserver.scu.workers import SendingWorkers, Sent

ASSOCIATIONS_MAX = 64


@click.command()
@peer_argument
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=NamedPath())
@click.option(
    "--associations",
    metavar="N",
    type=click.IntRange(1, ASSOCIATIONS_MAX),
    default=1,
    show_default=True,
    help="Send over N associations at once.",
)
@click.option(
    "--compress",
    "names",
    metavar="NAMES",
    help="Compress without loss what PEER takes so, the best first: j2k, htj2k, jpegls or rle, such as j2k,rle.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="List what is skipped because it is not a DICOM instance."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    peer: Peer,
    paths: tuple[Path, ...],
    associations: int,
    names: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Send the instances in PATH... to PEER: files, folders, DICOMDIRs and zip archives.

    PEER is the name of an [ae NAME] entry or AE@host:port. Data sets go out as they lie in the file, and are
    transcoded only with --compress, or if PEER does not take their transfer syntax. The exit code is 0 only if
    everything was stored.
    """
    try:
        preferred = parse_transfer_syntaxes(names or "")
    except ValueError as error:
        raise BadUsage(str(error)) from None
    started_at = time.monotonic()
    with ExitStack() as archives:
        found = list(find_instances(paths, archives))
        report = Report([one for one in found if one.problem], [one for one in found if one.skipped])
        if not as_json:
            report.show_findings(verbose)
        sendable = [one for one in found if one.sendable]
        _send(peer, sendable, associations, preferred, report, as_json)
    seconds = time.monotonic() - started_at
    if as_json:
        echo_json({"peer": str(peer.address), **report.described(), "seconds": seconds})
    else:
        click.echo(report.summary(peer, seconds))
    ctx.exit(0 if report.succeeded else FAILURE)


def _send(
    peer: Peer,
    found: list[Finding],
    associations: int,
    preferred: tuple[str, ...],
    report: Report,
    as_json: bool,
) -> None:
    """Send what was found and note what becomes of it.

    Raises
    ------
    RemoteError
        The remote AE cannot be reached.
    """
    if not found:
        return
    outgoings = _chained([one.outgoing for one in found])
    kinds = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in outgoings)
    with ExitStack() as opened, progress("sending", not as_json) as bar:
        transcoder = codecs.Transcoder(opened.enter_context(codecs.Workers()))
        senders = [
            opened.enter_context(
                StorageSender(
                    peer.address, kinds, peer.calling_ae_title, peer.limits, transcoder, preferred=preferred
                )
            )
            for _ in range(min(associations, len(found)))
        ]
        senders[0].open()
        bar.expect(sum(one.size_bytes for one in outgoings))
        for sent in SendingWorkers(senders).send(outgoings):
            bar.advance(outgoings[sent.position].size_bytes)
            report.note(found[sent.position], sent, None if as_json else bar)
    releasing.wait(peer.limits.acse_timeout_s)


def _chained(outgoings: Sequence[Outgoing]) -> list[Outgoing]:
    """Have each instance know those that are sent after it."""
    return [
        replace(one, upcoming=lambda count, position=position: outgoings[position + 1 : position + 1 + count])
        for position, one in enumerate(outgoings)
    ]


class Report:
    """What became of each file.

    Parameters
    ----------
    unsendable : list of Finding
        Files that should be sent and cannot.
    skipped : list of Finding
        Files that are no instances.
    """

    def __init__(self, unsendable: list[Finding], skipped: list[Finding]) -> None:
        self._unsendable = unsendable
        self._skipped = skipped
        self._remarkable: list[dict[str, str]] = []
        self._stored = self._warnings = self._failed = self._size_bytes = 0

    @property
    def succeeded(self) -> bool:
        """Whether everything that should be sent was stored."""
        return not self._failed and not self._unsendable

    def show_findings(self, verbose: bool) -> None:
        """Write a line for each file that is not sent."""
        for finding in self._unsendable:
            click.echo(f"{printable(finding.name)}: {printable(finding.problem)}", err=True)
        if verbose:
            for finding in self._skipped:
                click.echo(f"{printable(finding.name)}: skipped, {printable(finding.skipped)}", err=True)

    def note(self, finding: Finding, sent: Sent, bar: Progress | None) -> None:
        """Take over what became of an instance; anything but a success gets a line above the bar."""
        if sent.code == status.SUCCESS:
            self._stored += 1
        elif status.is_warning(sent.code):
            self._stored += 1
            self._warnings += 1
        else:
            self._failed += 1
        if status.is_performed(sent.code):
            self._size_bytes += finding.outgoing.size_bytes
        if sent.code == status.SUCCESS:
            return
        comment = printable(sent.comment, COMMENT_LENGTH_MAX)
        self._remarkable.append(
            {
                "file": finding.name,
                "sop_instance_uid": finding.outgoing.sop_instance_uid,
                "status": f"0x{sent.code:04X}",
                "comment": comment,
            }
        )
        if bar is not None:
            words = f"{printable(finding.name)}: {status.describe(sent.code)}"
            bar.echo(f"{words}: {comment}" if comment else words)

    def summary(self, peer: Peer, seconds: float) -> str:
        """Return all of it in one line."""
        parts = [f"stored {count_in_words(self._stored, 'instance')} at {peer.address}"]
        if self._warnings:
            parts.append(f"{self._warnings} with warnings")
        if failed := self._failed + len(self._unsendable):
            parts.append(f"{failed} failed")
        if self._skipped:
            parts.append(f"{count_in_words(len(self._skipped), 'file')} skipped")
        rate = self._size_bytes / 1e6 / max(seconds, 1e-9)
        return f"{', '.join(parts)}: {size_in_words(self._size_bytes)} in {seconds:.2f} s, {rate:.1f} MB/s"

    def described(self) -> dict[str, object]:
        """Return all of it for JSON."""
        unsendable = [{"file": one.name, "problem": one.problem} for one in self._unsendable]
        return {
            "stored": self._stored,
            "warnings": self._warnings,
            "failed": self._failed + len(unsendable),
            "skipped": len(self._skipped),
            "bytes": self._size_bytes,
            "remarks": [*unsendable, *self._remarkable],
            "skipped_files": [{"file": one.name, "reason": one.skipped} for one in self._skipped],
        }
