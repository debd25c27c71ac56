"""``medserver print retry|cancel|preview``: a film is printed again, is not printed, or is looked at."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from shutil import copyfileobj

import click

from medserver.cli.invocation import Invocation, pass_invocation
from medserver.cli.responses import FAILURE, exit_code
from medserver.cli.text import CELL_LENGTH_MAX, printable
from medserver.errors import ActionNotAppropriate, BadUsage, NoSuchInstance


@click.command()
@click.argument("uids", metavar="UID...", nargs=-1, required=True)
@click.option("--to", "name", metavar="NAME", help="On this printer instead of the one that it was asked for.")
@pass_invocation
@click.pass_context
def retry(ctx: click.Context, invocation: Invocation, uids: tuple[str, ...], name: str | None) -> None:
    """Print films again that have failed, were cancelled, or are done.

    One that waits for another printer is cancelled first.
    """
    from medserver.node import open_node
    from medserver.printing.changing import retry_film

    with closing(open_node(invocation.config_file)) as node:
        printer = node.config.current.printer(name) if name else None
        if name and printer is None:
            raise BadUsage(f"there is no [printer {printable(name, CELL_LENGTH_MAX)}] in the configuration")
        code = _of_each(uids, lambda uid: retry_film(node, uid, printer))
    if code:
        ctx.exit(code)


@click.command()
@click.argument("uids", metavar="UID...", nargs=-1, required=True)
@pass_invocation
@click.pass_context
def cancel(ctx: click.Context, invocation: Invocation, uids: tuple[str, ...]) -> None:
    """Cancel films; ends with 1 if a printer has one already and does not stop."""
    from medserver.node import open_node
    from medserver.printing.changing import cancel_film

    is_left = False

    def change(uid: str) -> None:
        nonlocal is_left
        if not cancel_film(node, uid):
            is_left = True
            click.echo(f"{uid}: the printer has it, and may print it all the same", err=True)

    with closing(open_node(invocation.config_file)) as node:
        code = _of_each(uids, change)
    if code or is_left:
        ctx.exit(code or FAILURE)


def _of_each(uids: Iterable[str], change: Callable[[str], object]) -> int:
    """Change films, each whatever becomes of the others; return the exit code of the first that failed, else 0."""
    code = 0
    for uid in dict.fromkeys(uids):
        try:
            change(uid)
        except (ActionNotAppropriate, BadUsage, NoSuchInstance) as error:
            click.echo(f"medserver: {printable(str(error))}", err=True)
            code = code or exit_code(error)
    return code


@click.command()
@click.argument("uid", metavar="UID")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@pass_invocation
def preview(invocation: Invocation, uid: str, file: Path) -> None:
    """Write the page of the film UID as a PDF to FILE ('-': standard output), as its printer would get it.

    A FILE that ends in .png gets a picture of the page, of 72 dpi.
    """
    from medserver.node import open_node
    from medserver.printing.changing import required_film
    from medserver.printing.document import page_document, page_preview
    from medserver.printing.film import film_of
    from medserver.printing.images import gathered_images

    with closing(open_node(invocation.config_file)) as node:
        row = required_film(node, uid)
        printer = node.config.current.printer(row.printed_by or row.printer)
        if printer is None:
            raise BadUsage(f"there is no [printer {row.printer}] in the configuration")
        film = film_of(row.content)
        with gathered_images(node, row, film) as (images_file, images):
            what = (node, film, images_file, images, printer)
            is_picture = file.suffix.lower() == ".png"
            with page_preview(*what) if is_picture else page_document(*what, row.label or row.uid) as document:
                _write(document, file)


def _write(document, file: Path) -> None:  # noqa: ANN001 - a file
    if str(file) == "-":
        with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as output:
            copyfileobj(document, output)
        return
    try:
        with file.open("wb") as output:
            copyfileobj(document, output)
    except OSError as error:
        raise BadUsage(f"{file}: {error.strerror}") from error
