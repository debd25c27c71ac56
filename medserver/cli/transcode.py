"""``medserver transcode``: bring files into another transfer syntax, without loss or derived with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import click

from medserver import codecs
from medserver.cli.invocation import echo_json, echo_table, json_option
from medserver.cli.parameters import NamedPath
from medserver.cli.progress import progress
from medserver.cli.recoding import Transcoding, transcode_files
from medserver.cli.responses import FAILURE
from medserver.cli.text import count_in_words, printable, size_in_words
from medserver.dicom.syntax_names import SHORT_NAMES, short_name, transfer_syntax_named
from medserver.dicom.transfer_syntaxes import JPEG_2000
from medserver.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import BadUsage
from medserver.scu.files import find_instances

LOSSY = "j2k-lossy"
_PLAIN = IMPLICIT_VR_LITTLE_ENDIAN
"""What can be brought into every transfer syntax that is written at all."""


@click.command()
@click.argument("source", metavar="IN", type=NamedPath(exists=True))
@click.argument("target", metavar="OUT", type=NamedPath())
@click.option("--to", "name", required=True, help=f"One of {', '.join((*SHORT_NAMES, LOSSY))}.")
@click.option(
    "--ratio",
    type=click.FloatRange(1.0, 1000.0, min_open=True),
    help="For j2k-lossy: how much shorter the pixels become, such as 10.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--processes", type=click.IntRange(1, 64), default=os.cpu_count() or 1, help="How many at a time.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    source: Path,
    target: Path,
    name: str,
    ratio: float | None,
    overwrite: bool,
    processes: int,
    as_json: bool,
) -> None:
    """Transcode IN, a file or a folder, into another transfer syntax, and write it to OUT.

    Every frame that is compressed is decoded again and compared. What cannot be brought into the transfer syntax
    without loss is copied as it is, and a line says why. The SOP Instance UID stays, whatever it is like.

    With j2k-lossy the pixels are not what they were: each image becomes another instance, with a SOP Instance UID of
    its own, that says so and names the one that it was derived from.

    For example: medserver transcode images compressed --to j2k
    """
    if (ratio is None) == (name == LOSSY):
        raise BadUsage(f"--ratio is for --to {LOSSY}, which needs it")
    to_uid = JPEG_2000 if name == LOSSY else _lossless(name)
    started_at = time.monotonic()
    done = []
    with ExitStack() as archives:
        found = [one for one in find_instances([source], archives) if not one.skipped]
        place = _places(source, target)
        with progress("transcoding", not as_json) as bar, codecs.Workers(processes) as workers:
            bar.expect(len(found))
            for one in transcode_files(
                found, place, to_uid, workers, processes=processes, overwrite=overwrite, ratio=ratio
            ):
                bar.advance()
                done.append(one)
    _report(done, time.monotonic() - started_at, as_json)
    ctx.exit(FAILURE if any(one.problem for one in done) else 0)


def _lossless(name: str) -> str:
    """Return the transfer syntax of this name, if it can be written.

    Raises
    ------
    BadUsage
        It cannot.
    """
    try:
        to_uid = transfer_syntax_named(name)
    except ValueError as error:
        raise BadUsage(str(error)) from None
    if to_uid not in (_PLAIN, *codecs.targets(_PLAIN), *codecs.compressions(_PLAIN)):
        raise BadUsage(f"{printable(name)} cannot be written here; is the extra 'codecs' installed?")
    return to_uid


def _places(source: Path, target: Path) -> Callable[[str], Path]:
    """Return a function from the name of a file to where its new form is written."""
    if source.is_dir():
        return lambda name: target / Path(name).relative_to(source)
    return lambda name: target / Path(name).name if target.is_dir() else target


def _report(done: list[Transcoding], seconds: float, as_json: bool) -> None:
    """Write what became of the files: a line for each that is remarkable, and a table of the others."""
    rows = _rows(done)
    if as_json:
        remarkable = [one for one in done if one.kept or one.problem]
        remarks = [{"file": one.name, "kept": one.kept, "problem": one.problem} for one in remarkable]
        keys = ("from", "to", "files", "bytes_before", "bytes_after")
        echo_json({"transcoded": [dict(zip(keys, row)) for row in rows], "remarks": remarks, "seconds": seconds})
        return
    for one in done:
        if one.problem:
            click.echo(f"{printable(one.name)}: {printable(one.problem)}", err=True)
        elif one.kept:
            click.echo(f"{printable(one.name)}: copied as it is, {printable(one.kept)}", err=True)
    cells = [
        (from_name, to_name, str(count), size_in_words(before), size_in_words(after), f"{before / max(after, 1):.2f}")
        for from_name, to_name, count, before, after in rows
    ]
    if cells:
        echo_table(("FROM", "TO", "FILES", "BEFORE", "AFTER", "RATIO"), cells)
    failed = sum(bool(one.problem) for one in done)
    written = count_in_words(len(done) - failed, "file")
    click.echo(f"wrote {written} in {seconds:.1f} s" + (f", {failed} failed" if failed else ""))


def _rows(done: Iterable[Transcoding]) -> list[tuple[str, str, int, int, int]]:
    """Return from, to, number of files and bytes before and after, for each pair of transfer syntaxes."""
    sums: dict[tuple[str, str], list[int]] = {}
    for one in done:
        if not one.problem:
            row = sums.setdefault((short_name(one.from_uid), short_name(one.to_uid)), [0, 0, 0])
            for index, number in enumerate((1, one.before_bytes, one.after_bytes)):
                row[index] += number
    return [(*pair, *row) for pair, row in sorted(sums.items())]
