"""``medserver index``: what the index holds, whether it is right, and a new one from the store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import quote, unquote

import click

from medserver import archive, lock, modes
from medserver.archive import Finding, Mark, Problem
from medserver.archive.decisions import write_waiting_decisions
from medserver.cli import index_conflicts, index_duplicates
from medserver.cli.index_items import echo_items, opened_node
from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.progress import progress
from medserver.cli.text import count_in_words
from medserver.errors import BadUsage, IndexFailure, OutOfResources, StoreFailure
from medserver.index import open_backend
from medserver.index.nodes.exclusive import Held
from medserver.log import escaped
from medserver.node import Node, exclusive_node, open_node, utc_now

_SQLITE = "sqlite:///"
_UNFINISHED = "rebuilding"


@click.group()
def command() -> None:
    """Look into the index, compare it with the store, rebuild it."""


command.add_command(index_conflicts.conflicts)
command.add_command(index_duplicates.duplicates)


@command.command()
@json_option
@pass_invocation
def counts(invocation: Invocation, as_json: bool) -> None:
    """Count patients, studies, series, instances, duplicates and conflicts."""
    with opened_node(invocation) as node:
        held = asdict(node.index.counts())
    if as_json:
        echo_json(held)
        return
    for name, count in held.items():
        click.echo(f"{name:<12}{count:>16}")


@command.command()
@click.option(
    "--digests", is_flag=True, help="Read every object and compare it with its digest; this takes long."
)
@click.option("--restart", is_flag=True, help="Start over instead of continuing an interrupted check.")
@click.option("--remove-surplus", is_flag=True, help="Remove the files that nobody needs. Stop the node before.")
@json_option
@pass_invocation
@click.pass_context
def check(
    ctx: click.Context, invocation: Invocation, digests: bool, restart: bool, remove_surplus: bool, as_json: bool
) -> None:
    """Compare index and store both ways.

    Objects without a row, rows without an object and objects that have changed are listed; nothing is
    altered. The node may be running. An interrupted check goes on where it stopped, with --digests where one
    with --digests stopped. The exit code is 1 if anything was found, before the interruption or after.

    With --remove-surplus the files go that nobody needs: of what is stored under another path as well, was refused, or
    was deleted on purpose. What is in the place of each is read before.
    """
    with _alone(invocation) if remove_surplus else opened_node(invocation) as node:
        if restart:
            archive.restart_check(node, digests=digests)
        before = _going_on(archive.interrupted_check(node, digests=digests))
        with progress("checking", not as_json) as shown:
            shown.expect(node.index.counts().locations)
            findings = archive.check(node, shown.advance, digests=digests)
            if remove_surplus:
                findings = _without_surplus(node, findings)
            found = echo_items(findings, as_json, _finding_line, shown)
    _conclude(ctx, found, before, as_json)


@command.command()
@click.option("--into", "url", metavar="URL", help="Where to make it; needed if the index is not in SQLite.")
@click.option(
    "--verify", is_flag=True, help="Read every object and compare it with its digest; this takes long."
)
@json_option
@pass_invocation
@click.pass_context
def rebuild(ctx: click.Context, invocation: Invocation, url: str | None, verify: bool, as_json: bool) -> None:
    """Make a new index from the store.

    A SQLite index is made beside the old one and takes its place when it is complete; the old one is kept
    under another name. Stop the node before. An interrupted rebuild goes on where it stopped, unless it was
    made with --verify and this one is not, or the other way. What only the old index knew is counted. The exit code
    is 1 if an object could not be entered, before the interruption or after.
    """
    present = _sqlite_path(invocation) if url is None else None
    if url is None and present is None:
        raise BadUsage("the index is not in SQLite: say with --into where to make the new one")
    _check_volumes(invocation)
    with _exclusive(invocation, present) as held:
        only_there = _require_objects(invocation, held)
        with _fillable(invocation, held, url, present, verify) as node:
            before = _going_on(archive.interrupted_rebuild(node, verify=verify))
            with progress("rebuilding", not as_json) as shown:
                shown.expect(archive.count_objects(node, verify=verify))
                findings = archive.rebuild(node, shown.advance, verify=verify)
                found = echo_items(findings, as_json, _finding_line, shown)
        if present:
            held.pass_on(open_backend(_unfinished_url(present), invocation.config.node.data))
            kept = _take_the_place(present)
            if kept:
                click.echo(f"the old index is kept as {kept}", err=True)
        else:
            click.echo("the new index is complete; set [index] url to it and start the node again", err=True)
        for what, number in only_there.items():
            click.echo(f"not brought back: {number} {what}", err=True)
    _conclude(ctx, found, before, as_json)


@contextmanager
def _alone(invocation: Invocation) -> Iterator[Node]:
    """Open the node and keep others from its index."""
    with exclusive_node(invocation.config, "removal of surplus") as held:
        with closing(open_node(invocation.config_file, lock_owner=held.owner)) as node:
            yield node


def _without_surplus(node: Node, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Remove the files that are surplus, and say so; yield what else is found, and those that could not be removed."""
    for finding in findings:
        try:
            is_removed = finding.problem == Problem.SURPLUS and archive.remove_surplus(
                node, node.volume(finding.volume), finding.path
            )
        except (StoreFailure, OutOfResources) as error:
            yield replace(finding, detail=f"{finding.detail}; not removed: {error}")
            continue
        if is_removed:
            click.echo(f"removed: {_finding_line(finding)}", err=True)
        else:
            yield finding


@contextmanager
def _exclusive(invocation: Invocation, present: Path | None) -> Iterator[Held]:
    """Keep others from the index; where there is none yet, a database file is not made for that."""
    config = invocation.config
    if present is not None and not present.exists():
        with lock.exclusive(config.node.data):
            yield Held()
    else:
        with exclusive_node(config, "rebuild") as held:
            yield held


@contextmanager
def _fillable(
    invocation: Invocation, held: Held, url: str | None, present: Path | None, verify: bool
) -> Iterator[Node]:
    """Open the node on the new index, which is empty or was filled by an interrupted rebuild of the same kind."""
    if url is not None:
        with closing(open_node(invocation.config_file, index_url=url, lock_owner=held.owner)) as node:
            if not archive.can_rebuild(node, verify=verify):
                other = archive.interrupted_rebuild(node, verify=not verify)
                way = "without" if verify else "with"
                raise BadUsage(
                    f"--into names what an interrupted rebuild {way} --verify left: go on {way} it, or name another"
                    if other
                    else "the index that --into names is not empty"
                )
            yield node
        return
    unfinished, target = _beside(present, _UNFINISHED), _unfinished_url(present)
    with closing(open_node(invocation.config_file, index_url=target, lock_owner=held.owner)) as node:
        goes_on = archive.can_rebuild(node, verify=verify)
    if not goes_on:
        click.echo("an interrupted rebuild cannot be continued with these options: beginning anew", err=True)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{unfinished}{suffix}").unlink(missing_ok=True)
    with closing(open_node(invocation.config_file, index_url=target, lock_owner=held.owner)) as node:
        yield node


def _check_volumes(invocation: Invocation) -> None:
    """Refuse to make an empty index because a disk is not mounted, and name the volumes of which that may be so.

    Raises
    ------
    BadUsage
        There is no volume but those whose folder is missing, or empty as a mount point without its disk.
    """
    volumes = invocation.config.volumes
    empty = [one for one in volumes if one.path is not None and not (one.path.is_dir() and any(one.path.iterdir()))]
    if len(empty) == len(volumes):
        primary = invocation.config.primary_volume
        raise BadUsage(
            f"the folder of the volume {primary.name}, {primary.path}, is missing or empty, and no other volume holds "
            "anything: is its disk mounted?"
        )
    for volume in empty:
        place = f"the folder of the volume {volume.name}, {volume.path}, is missing or empty"
        click.echo(f"{place}: is its disk mounted? The new index will have no copies there", err=True)


def _require_objects(invocation: Invocation, held: Held) -> dict[str, int]:
    """Refuse to make an index without the objects of a volume because its disk is not mounted.

    An index that cannot be read says nothing: a new one is made of what there is.

    Returns
    -------
    dict of str to int
        What the index that is to be replaced has that is not on the volumes.

    Raises
    ------
    BadUsage
        The index that is to be replaced has objects on a volume that holds none.
    """
    present = _sqlite_path(invocation)
    if present is not None and not present.exists():
        return {}
    try:
        with closing(open_node(invocation.config_file, lock_owner=held.owner)) as node:
            has_objects = node.index.upkeep.has_good_objects
            away = [
                one.name for one in node.volumes.values() if not one.condition().is_present and has_objects(one.name)
            ]
            with suppress(StoreFailure):  # the jobs that write them are counted then
                write_waiting_decisions(node)
            only_there = node.index.only_here()
    except IndexFailure as error:
        click.echo(f"the index that is there cannot be read: {error}", err=True)
        return {}
    if away:
        raise BadUsage(
            f"the index has objects on the volume {away[0]}, which is not there: mount its disk, or, if that is lost, "
            f"put an empty one in its place and run: medserver store replicate {away[0]} --anew"
        )
    return only_there


def _sqlite_path(invocation: Invocation) -> Path | None:
    """Return the file of the configured index, or None if it is in another database."""
    url = invocation.config.index.url
    return (
        invocation.config.node.data / unquote(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
    )


def _unfinished_url(present: Path) -> str:
    """Return where the new index is made that takes the place of one on SQLite."""
    return f"{_SQLITE}{quote(str(_beside(present, _UNFINISHED)))}"


def _beside(path: Path, extension: str) -> Path:
    return path.with_name(f"{path.name}.{extension}")


def _take_the_place(path: Path) -> Path | None:
    """Put the new index in the place of the old one; return where that is now, None if there was none."""
    kept = None
    if path.exists():
        kept = _beside(path, f"replaced-{utc_now():%Y%m%d%H%M%S}")
        _rename(path, kept)
    _rename(_beside(path, _UNFINISHED), path)
    modes.flush_directory(path.parent)
    return kept


def _rename(old: Path, new: Path) -> None:
    """Rename a SQLite database with the log beside it, in which the last transactions may still be."""
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.rename(f"{old}{suffix}", f"{new}{suffix}")
    os.rename(old, new)


def _going_on(marks: Sequence[Mark]) -> int:
    """Say where an interrupted work goes on; return how much it had found."""
    for mark in marks:
        if mark.path:
            after = escaped(f"{mark.volume}:{mark.path}", 400)
            click.echo(f"continuing after {after}, {count_in_words(mark.found, 'finding')} so far", err=True)
    return sum(mark.found for mark in marks)


def _conclude(ctx: click.Context, found: int, before: int, as_json: bool) -> None:
    """Say in the last line what was found in all, and leave with the exit code."""
    if not as_json:
        of_them = f", {before} of them before the interruption" if before else ""
        click.echo(f"{count_in_words(found + before, 'finding')}{of_them}" if found or before else "nothing is wrong")
    if found or before:
        ctx.exit(1)


def _finding_line(finding: Finding) -> str:
    return escaped(str(finding), 400)
