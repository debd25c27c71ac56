"""``medserver store``: how safe the objects are, and what an administrator can do for that."""

from __future__ import annotations

import getpass
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from itertools import chain

import click

from medserver.archive import Finding, PixelCheck, PixelState, Problem
from medserver.archive.follow_ups import REPAIR, REPLICATE
from medserver.backups.catalog import newest_backup_at
from medserver.archive.payloads import FilePayload
from medserver.cli.instances import instances_of
from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.progress import Progress, progress
from medserver.cli.store_report import described, report_lines
from medserver.cli.text import count_in_words
from medserver.config.edit import add_volume
from medserver.config.options import COMPRESSIONS
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.errors import BadUsage, OutOfResources, StoreFailure
from medserver.index import JobFilter, StoredCopy
from medserver.log import escaped
from medserver.node import Node, open_node
from medserver.safekeeping.compression import queue_compression
from medserver.safekeeping.deletion import DELETE, duplicates_of, order_deletion
from medserver.safekeeping.drained import is_draining, set_draining
from medserver.safekeeping.draining import begin_draining
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.pixels import verify_all_pixels
from medserver.safekeeping.presence import require_present
from medserver.safekeeping.renewal import renew
from medserver.safekeeping.repair import repair_copy
from medserver.safekeeping.replication import copy_now
from medserver.safekeeping.seeking import missing_on, queue_missing, queue_repairs, restart_seeking
from medserver.safekeeping.status import status_of
from medserver.safekeeping.verification import BYTES_PER_MB, verify_copies
from medserver.volumes import add as add_to_archive
from medserver.volumes import make_marker, record_present


@contextmanager
def _opened(invocation: Invocation, *names: str | None) -> Iterator[Node]:
    """Open the node, which must have volumes of these names."""
    with closing(open_node(invocation.config_file)) as node:
        for name in names:
            if name is not None and name not in node.volumes:
                raise BadUsage(f"there is no volume {escaped(name)} (valid: {', '.join(node.volumes)})")
        yield node


@click.group()
def command() -> None:
    """See how safe the objects are; copy, verify, repair and delete them."""


@command.command()
@json_option
@pass_invocation
@click.pass_context
def status(ctx: click.Context, invocation: Invocation, as_json: bool) -> None:
    """Show the volumes, how many objects have how many good copies, the newest backup, and what waits to be done.

    The exit code is 1 if copies are bad or missing, or a volume is away or takes nothing.
    """
    with _opened(invocation) as node:
        found, backed_up_at, now = status_of(node), newest_backup_at(node.volumes.values()), node.clock()
        nodes = node.index.nodes.list()
    if as_json:
        echo_json(described(found, backed_up_at))
    else:
        for line in report_lines(found, backed_up_at, now):
            click.echo(line)
        if len(nodes) > 1:
            silent = sum(not one.is_heard(now) for one in nodes)
            click.echo(f"{count_in_words(len(nodes), 'node')} share the index, {silent} of them not heard of")
    if not found.is_well:
        ctx.exit(1)


@command.command()
@click.argument("name", metavar="NAME")
@click.option("--path", help="Its directory.")
@click.option("--url", help="Its bucket: s3://BUCKET or s3://BUCKET/PREFIX.")
@click.option(
    "--role",
    type=click.Choice(("replica", "archive")),
    default="replica",
    show_default=True,
    help="A replica may be waited for before success is answered; an archive is read last.",
)
@click.option("--free-min", metavar="SIZE", help="Space that it leaves free on its disk, such as '10 GiB'.")
@pass_invocation
def add(
    invocation: Invocation, name: str, path: str | None, url: str | None, role: str, free_min: str | None
) -> None:
    """Add the volume NAME to the configuration, if it is not there yet, and make its marker.

    The marker is a small file that says which volume of which archive this is: without it nothing is written there.
    After the next start of the node the volume gets a copy of everything.
    """
    if path is not None and url is not None:
        raise BadUsage("say either --path or --url")
    written = ""
    if path is not None or url is not None:
        options = {"path": path, "url": url, "role": role, "free_min_bytes": free_min}
        given = {option: text for option, text in options.items() if text is not None}
        volume = add_volume(invocation.config_path, name, given)
        click.echo(f"added [volume {volume.name}]: {volume.role} at {volume.path or volume.url}; restart the node")
        invocation = replace(invocation)  # which reads the configuration anew
        written = f"; [volume {escaped(name)}] is in {invocation.config_path} now: correct it or remove it"
    elif all(name != volume.name for volume in invocation.config.volumes):
        raise BadUsage(f"the configuration has no volume {escaped(name)}: say --path or --url")
    with _opened(invocation, name) as node:
        try:
            row = add_to_archive(node.index, node.volumes[name])
        except BadUsage as error:
            raise BadUsage(f"{error}{written}") from None
        try:
            make_marker(node.index, node.volumes[name], row)
        except (StoreFailure, OutOfResources) as error:
            click.echo(f"its marker is made when it can be: {escaped(str(error), 400)}", err=True)
            return
    click.echo(f"{name} is the volume {row.volume_uuid} of the archive {row.archive_uuid}")


@command.command()
@click.argument("name", metavar="NAME")
@pass_invocation
def detach(invocation: Invocation, name: str) -> None:
    """Let go of the volume NAME, so that its disk can be unmounted: within seconds no process has a file open there.

    It is away until 'store attach'. Nothing is copied to it and nothing is missed; what is read from it is read from
    another volume. If it is the primary, objects are refused (A700).
    """
    with _opened(invocation, name) as node:
        if not node.index.volumes.set_detached(name, True):
            raise BadUsage(f"{name} is no volume of this archive yet: medserver store add {name}")
    click.echo(f"{name} is detached: its disk can be unmounted in a few seconds, when nothing is read from it any more")


@command.command()
@click.argument("name", metavar="NAME")
@pass_invocation
@click.pass_context
def attach(ctx: click.Context, invocation: Invocation, name: str) -> None:
    """Take the volume NAME again; also one that had been lost, and in whose place another one was put meanwhile.

    The exit code is 1 if it is not there.
    """
    with _opened(invocation, name) as node:
        node.index.volumes.set_detached(name, False)
        record_present(node.index, [node.volumes[name]])
        node.watch.look()
        condition = node.volumes[name].condition()
    click.echo(f"{name} is {condition.state}" + (f": {escaped(condition.detail, 400)}" if condition.detail else ""))
    if not condition.is_present:
        ctx.exit(1)


@command.command()
@click.argument("volume", required=False)
@click.option("--now", is_flag=True, help="Copy in this process and wait, instead of leaving it to the workers.")
@click.option("--anew", is_flag=True, help="VOLUME is lost: the empty disk in its place takes everything.")
@pass_invocation
@click.pass_context
def replicate(ctx: click.Context, invocation: Invocation, volume: str | None, now: bool, anew: bool) -> None:
    """Find objects that have no copy on VOLUME (or on a replica), and have them copied.

    What a rule has removed from VOLUME ([retention NAME] with last_copy = keep) is copied there again.

    With --anew what is in the place of VOLUME becomes the volume, if it is empty. It gets a marker of its own: should
    the old disk be found after all, 'store attach' takes that again.
    """
    if anew and volume is None:
        raise BadUsage("--anew wants a VOLUME")
    with _opened(invocation, volume) as node:
        if anew:
            renew(node, node.volumes[volume])
            click.echo(f"{volume} has a new marker, and takes the place of the one that is lost", err=True)
        if volume is not None:
            node.index.removals.forget(volume)
        names = [volume] if volume else [name for name in node.replica_names if not is_draining(node, name)]
        if now:
            failures = _copy_now(node, names)
            if failures:
                ctx.exit(1)
            return
        for name in names:
            _queue_copies(node, name)
        queue_repairs(node)
        click.echo(f"{count_in_words(_queued(node, REPAIR), 'repair')} queued")


def _queue_copies(node: Node, name: str) -> None:
    """Queue what a volume lacks, and tell how much that is."""
    restart_seeking(node, name)
    if not queue_missing(node, name):
        click.echo(f"{name}: the rest is queued as these are done", err=True)
    condition = node.volumes[name].condition()
    if not condition.is_present:
        click.echo(f"{name} is {condition.state}, its jobs wait: {escaped(condition.detail, 400)}", err=True)
    click.echo(f"{name}: {count_in_words(_queued(node, REPLICATE, name), 'copy')} queued")


def _copy_now(node: Node, names: Iterable[str]) -> int:
    """Copy what is missing or bad on volumes; return how many failed."""
    copied, failed = 0, 0
    with progress("copying") as shown:
        for name in names:
            require_present(node.volumes[name])
            bad = (one for one in node.index.upkeep.bad() if one.volume == name)
            tally = node.index.upkeep.tally()
            here = tally.volumes.get(name)
            shown.expect(tally.objects - here.copies + here.bad if here else tally.objects)
            for problem in copy_now(node, chain(bad, missing_on(node, name)), node.volumes[name]):
                shown.advance()
                copied += problem is None
                if problem is not None:
                    failed += 1
                    shown.echo(f"medserver: {escaped(problem, 400)}")
    click.echo(f"{count_in_words(copied, 'copy')} made" + (f", {failed} failed" if failed else ""))
    return failed


def _queued(node: Node, kind: str, destination: str | None = None) -> int:
    counts = node.index.jobs.counts()
    return sum(one.count for one in counts if one.kind == kind and destination in (None, one.destination))


@command.command()
@click.argument("volume", required=False)
@click.option("--sample", type=click.IntRange(1), metavar="N", help="N copies at random, instead of all.")
@click.option("--rate", type=click.FloatRange(0.001), metavar="MB/S", help="How fast, for each volume.")
@click.option("--restart", is_flag=True, help="Start over instead of continuing an interrupted verification.")
@click.option("--pixels", is_flag=True, help="Decode what was compressed here, and bring back pixels that are lost.")
@json_option
@pass_invocation
@click.pass_context
def verify(
    ctx: click.Context,
    invocation: Invocation,
    volume: str | None,
    sample: int | None,
    rate: float | None,
    restart: bool,
    pixels: bool,
    as_json: bool,
) -> None:
    """Read every copy (on VOLUME only, if it is named) and compare it with its digests, the oldest first.

    What is bad is never given to anybody again, and is repaired by the workers, or by 'store repair'. An interrupted
    verification goes on where it stopped. The exit code is 1 if anything was found.

    With --pixels every image is decoded that was compressed here, and its pixels are compared with the digest of the
    original's. Where they differ, an uncompressed image that has them takes its place, made by the decoder that proved
    the compression; the compressed form becomes a duplicate. The exit code is 1 if pixels could not be brought back.
    """
    if pixels:
        if volume or sample or rate or restart:
            raise BadUsage("--pixels looks at images, not at copies: only --json goes with it")
        _verify_pixels(ctx, invocation, as_json)
        return
    with _opened(invocation, volume) as node, progress("verifying", not as_json) as shown:
        pace = Pace(rate * BYTES_PER_MB if rate else None)
        found: list[Finding] = []
        if sample:
            copies = node.index.upkeep.sample([random.random() for _ in range(sample)], volume)
            shown.expect(len(copies))
            found += _shown(verify_copies(node, copies, pace, progress=shown.advance), as_json, shown)
        else:
            for name in [volume] if volume else list(node.volumes):
                found += _shown(_verify_volume(node, name, pace, restart, shown), as_json, shown)
        known = sum(one.bad for name, one in node.index.upkeep.tally().volumes.items() if volume in (None, name))
    if as_json:
        echo_json([{"problem": str(one.problem), "volume": one.volume, "path": one.path} for one in found])
    else:
        click.echo(count_in_words(len(found), "finding") if found else "nothing is wrong")
        if known:
            click.echo(f"{count_in_words(known, 'copy')} known to be bad: medserver store repair")
    if found or known:
        ctx.exit(1)


def _verify_pixels(ctx: click.Context, invocation: Invocation, as_json: bool) -> None:
    """Verify the pixels of what was compressed here; leave with exit code 1 if some could not be brought back."""
    counts: Counter[PixelState] = Counter()
    told: list[PixelCheck] = []
    with _opened(invocation) as node, progress("decoding", not as_json) as shown:
        shown.expect(node.index.forms.count())
        for check in verify_all_pixels(node):
            shown.advance()
            counts[check.state] += 1
            if check.state == PixelState.SAME:
                continue
            told.append(check)
            if not as_json:
                shown.echo(f"{check.state}: {check.sop_instance_uid}: {escaped(check.detail, 400)}", err=False)
    if as_json:
        echo_json({"checked": counts.total(), "not_as_they_were": [asdict(check) for check in told]})
    else:
        changed = ", ".join(f"{counts[state]} {state}" for state in (PixelState.RESTORED, PixelState.LOST))
        click.echo(f"{count_in_words(counts.total(), 'image')} checked, {changed}")
    if counts[PixelState.LOST]:
        ctx.exit(1)


def _verify_volume(node: Node, name: str, pace: Pace, restart: bool, shown) -> Iterator[Finding]:  # noqa: ANN001
    """Verify all copies on a volume; what has been verified since it began does not come again."""
    try:
        require_present(node.volumes[name])
    except StoreFailure as error:  # the others can be verified
        yield Finding(Problem.UNREADABLE, name, "", str(error))
        return
    key = f"verify:{name}"
    begun = None if restart else node.index.progress.get(key)
    if begun is None:
        begun = node.clock().isoformat()
        node.index.progress.set(key, begun)
    here = node.index.upkeep.tally().volumes.get(name)
    shown.expect(here.copies if here else 0)
    copies = node.index.upkeep.to_verify(name, type(node.clock()).fromisoformat(begun))
    yield from verify_copies(node, copies, pace, progress=shown.advance)
    node.index.progress.set(key, None)


def _shown(findings: Iterable[Finding], as_json: bool, shown: Progress) -> Iterator[Finding]:
    for finding in findings:
        if not as_json:
            shown.echo(escaped(str(finding), 400), err=False)
        yield finding


@command.command()
@pass_invocation
@click.pass_context
def repair(ctx: click.Context, invocation: Invocation) -> None:
    """Repair every copy that is known to be bad, from a good one, in this process.

    The exit code is 1 if one could not be repaired.
    """
    repaired, failed = 0, 0
    with _opened(invocation) as node, progress("repairing") as shown:
        bad: list[StoredCopy] = list(node.index.upkeep.bad())
        shown.expect(len(bad))
        for location in bad:
            try:
                repair_copy(node, location)
                repaired += 1
            except StoreFailure as error:
                failed += 1
                shown.echo(f"medserver: {location.volume}:{location.path}: {escaped(str(error), 400)}")
            shown.advance()
        _drop_dead_repairs(node)
    click.echo(f"{repaired} repaired" + (f", {failed} not" if failed else ""))
    if failed:
        ctx.exit(1)


def _drop_dead_repairs(node: Node) -> None:
    """Drop the jobs that failed for good and have nothing to do any more."""
    dead = node.index.jobs.list(JobFilter(REPAIR, state="dead"))
    bad = {(one.volume, one.path) for one in node.index.upkeep.bad()}
    node.index.jobs.drop([job.id for job in dead if (job.destination, FilePayload.of(job).path) not in bad])


@command.command()
@click.argument("keys", nargs=-1, required=True, metavar="UID...")
@click.option("--force", is_flag=True, help="Delete although these are the last copies.")
@click.option("--reason", default="", help="Why; it stays in the log and in the tombstones.")
@pass_invocation
def delete(invocation: Invocation, keys: tuple[str, ...], force: bool, reason: str) -> None:
    """Delete studies, series or instances by their UIDs, with every copy.

    Workers do it. Tombstones stay, so that what is deleted does not come back by mistake. Who sends it again stores it
    anew; what is sent again before the workers come to it stays.
    """
    with _opened(invocation) as node:
        instances = {one.sop_instance_uid: one for key in keys for one in instances_of(node, key)}
        objects = [*instances.values(), *duplicates_of(node, instances.values())]
        amount = count_in_words(len(objects), "object")
        if not force:
            raise BadUsage(f"this removes the last verified copy of {amount}: --force does it all the same")
        ordered = order_deletion(node, list(instances.values()), by=getpass.getuser(), reason=reason)
    click.echo(f"{count_in_words(len(ordered), 'object')} will be deleted by jobs of kind {DELETE}")


@command.command()
@click.option(
    "--to",
    "name",
    type=click.Choice([name for name in COMPRESSIONS if name != "none"]),
    default="j2k",
    show_default=True,
    help="Into which transfer syntax.",
)
@pass_invocation
def compress(invocation: Invocation, name: str) -> None:
    """Have the images compressed, without loss, that are stored uncompressed now.

    Workers do it. An original is removed when its compressed form lies on every volume that has the original, and its
    pixels are those of the original. Until then both take space: 'store status' tells how much. What cannot be
    represented, or would be no shorter, stays as it is. For what is received later, see [store] compress.
    """
    with _opened(invocation) as node:
        count = queue_compression(node, SHORT_NAMES[name])
    click.echo(f"{count_in_words(count, 'object')} will be compressed, as far as that is possible")


@command.command()
@click.argument("volume")
@click.option("--cancel", is_flag=True, help="Let the volume get copies again.")
@pass_invocation
def drain(invocation: Invocation, volume: str, cancel: bool) -> None:
    """Move everything off VOLUME, so that it can be taken out of the configuration.

    Workers do it. A copy is removed only when another one has been read to its end and is good.
    """
    with _opened(invocation, volume) as node:
        if cancel:
            set_draining(node, volume, False)
            click.echo(f"{volume} gets copies again")
            _queue_copies(node, volume)  # the workers look for what is missing once an hour
            return
        begin_draining(node, volume)
    click.echo(f"{volume} is being drained: 'medserver store status' tells how far it is")
