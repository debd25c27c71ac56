"""``medserver backup``: the index is copied to a volume, and brought back from there."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict

import click

from medserver.archive import Finding
from medserver.backups.catalog import LATEST, Backup, find_backup, find_backups
from medserver.backups.creation import create_backup
from medserver.backups.retention import most_complete, remove_old_backups
from medserver.backups.verification import verify_backup
from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.progress import progress
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable, size_in_words
from medserver.errors import BadUsage, MedserverError
from medserver.log import escaped
from medserver.node import exclusive_node, open_node, open_volumes


@click.group()
def command() -> None:
    """Back the index up; list, verify and restore backups.

    The node makes backups by itself, see [backup] in the configuration. The objects are not in them: those are on the
    volumes, and 'medserver index rebuild' makes an index from any of these without a backup.
    """


@command.command()
@click.option("--volume", metavar="NAME", help="Where to, if not to the volume of the configuration.")
@json_option
@pass_invocation
def create(invocation: Invocation, volume: str | None, as_json: bool) -> None:
    """Make a backup now; the node may be running. Of more than [backup] keep the oldest are removed."""
    config = invocation.config
    with closing(open_node(invocation.config_file)) as node:
        name = volume or config.backup_volume.name
        if name not in node.volumes:
            raise BadUsage(f"there is no volume {escaped(name)} (valid: {', '.join(node.volumes)})")
        manifest = create_backup(node, node.volumes[name])
        assert manifest is not None  # nobody tells it to stop
        removed = remove_old_backups(node.volumes[name], config.backup.keep, manifest, node.clock())
    if as_json:
        echo_json({"name": manifest.name, "volume": name, "size_bytes": manifest.size_bytes, "removed": removed})
        return
    click.echo(f"{manifest.name} on {name}: {size_in_words(manifest.size_bytes)}, verified")
    for old in removed:
        click.echo(f"{old} is removed: [backup] keep = {config.backup.keep}")


@command.command("list")
@json_option
@pass_invocation
def list_backups(invocation: Invocation, as_json: bool) -> None:
    """List the backups on all volumes, the newest first."""
    found = find_backups(open_volumes(invocation.config))
    if as_json:
        echo_json([_described(backup) for backup in found])
    elif found:
        echo_table(("NAME", "VOLUME", "MADE", "DATABASE", "INSTANCES", "SIZE"), [_row(backup) for backup in found])
    else:
        click.echo("no backups")


def _described(backup: Backup) -> dict:
    place = {"name": backup.name, "volume": backup.volume.name}
    if backup.manifest is None:
        return place | {"problem": backup.problem}
    return place | asdict(backup.manifest) | {"made_at": backup.manifest.made_at.isoformat()}


def _row(backup: Backup) -> tuple[str, ...]:
    place = (printable(backup.name, CELL_LENGTH_MAX), backup.volume.name)
    if backup.manifest is None:
        return (*place, "damaged", "-", "-", "-")
    one = backup.manifest
    instances = str(one.rows.get("instances", "-"))
    return (*place, f"{one.made_at:%Y-%m-%d %H:%M:%S}", one.database, instances, size_in_words(one.size_bytes))


@command.command()
@click.argument("name", default=LATEST, metavar="[NAME|latest|all]")
@pass_invocation
@click.pass_context
def verify(ctx: click.Context, invocation: Invocation, name: str) -> None:
    """Read a backup to its end, unpack it and look through it. The exit code is 1 if one is damaged."""
    volumes = open_volumes(invocation.config)
    chosen = find_backups(volumes) if name == "all" else [find_backup(volumes, name)]
    damaged = 0
    for backup in chosen:
        try:
            verify_backup(invocation.config, backup)
            click.echo(f"{backup.name} on {backup.volume.name} is good")
        except MedserverError as error:
            damaged += 1
            click.echo(f"medserver: {escaped(str(error), 400)}", err=True)
    if damaged:
        ctx.exit(1)


@command.command()
@click.argument("name", default=LATEST, metavar="[NAME|latest]")
@json_option
@pass_invocation
@click.pass_context
def restore(ctx: click.Context, invocation: Invocation, name: str, as_json: bool) -> None:
    """Restore a backup, and enter what the volumes have received since. Stop the node before.

    The index that is there is kept under another name. Objects that were stored after the backup are found on the
    volumes; what was deleted after it stays deleted. An interrupted restore is begun again. If an older backup holds
    more instances than the latest, nothing is restored until one is named. The exit code is 1 if anything was found
    that is gone, or cannot be entered.
    """
    from medserver.backups.restoring import restore as restore_backup  # with all that reads objects

    config = invocation.config
    with exclusive_node(config, "restore") as held:
        volumes = open_volumes(config)
        backup = find_backup(volumes, name)
        if name == LATEST:
            _refuse_if_another_holds_more(backup, find_backups(volumes))
        with progress("replaying", not as_json) as shown:

            def begin(amount: int):  # noqa: ANN202
                shown.expect(amount)
                return shown.advance

            done = restore_backup(invocation.config_file, backup, begin, held=held)
    if as_json:
        echo_json(
            {
                "name": backup.name,
                "before": asdict(done.before),
                "after": asdict(done.after),
                "kept": done.kept,
                "findings": [asdict(one) for one in done.findings],
            }
        )
    else:
        _tell(backup, done)
    if done.findings:
        ctx.exit(1)


def _refuse_if_another_holds_more(chosen: Backup, found: list[Backup]) -> None:
    """Ask for a name if the latest backup is not the fullest: the index may have been begun anew by mistake since.

    Raises
    ------
    BadUsage
        Another backup holds more instances.
    """
    count, other = _held(chosen), most_complete([one.manifest for one in found if one.manifest is not None])
    fullest = other.rows.get("instances", 0)
    if fullest > count:
        raise BadUsage(
            f"the latest backup {chosen.name} holds {count_in_words(count, 'instance')}, and {other.name} "
            f"{fullest}: name the one to restore"
        )


def _held(backup: Backup) -> int:
    return backup.require_manifest().rows.get("instances", 0)


def _tell(backup: Backup, done) -> None:  # noqa: ANN001
    if done.kept:
        click.echo(f"the old index is kept as {done.kept}", err=True)
    for finding in done.findings:
        click.echo(_line(finding))
    before, after = done.before.instances, done.after.instances
    click.echo(
        f"{backup.name} is restored: {count_in_words(before, 'instance')} in the backup, {after} in the index with "
        "what the volumes have received since"
    )


def _line(finding: Finding) -> str:
    return escaped(str(finding), 400)
