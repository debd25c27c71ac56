"""``medserver printer serve``: a node that is a hard-copy device, without a configuration written by hand."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from medserver import log
from medserver.cli.invocation import Invocation, pass_invocation
from medserver.config.device import DEFAULTS


@click.command()
@click.option(
    "--folder", metavar="FOLDER", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Where its configuration, index, store and films are.",
)  # fmt: skip
@click.option("--ae-title", metavar="AE", show_default=DEFAULTS["node", "ae_title"], help="Its AE title.")
@click.option("--port", metavar="PORT", show_default=DEFAULTS["node", "port"], help="Its port.")
@click.option("--address", metavar="ADDRESS", help="Where it listens; default: everywhere.")
@click.option(
    "--from", "sources", metavar="AE@HOST:PORT", multiple=True, help="From where images are fetched. May be repeated."
)
@click.option("--client", "clients", metavar="AE@HOST", multiple=True, help="Who may have printed. May be repeated.")
@click.option("--called", metavar="AE", help="The AE title by which the printer is called, if it is not that above.")
@click.option("--media", metavar="SIZES", help="Film Size IDs, the first is the default: 14INX17IN,A4.")
@click.option("--pdf", metavar="FOLDER", help="Print to PDF files in this folder; the default is FOLDER/films.")
@click.option(
    "--url", metavar="URL", help="Print on a printer or print server: ipp://host:631/ipp/print, or cups:NAME."
)
@click.option("--imager", metavar="AE@HOST:PORT", help="Print on a DICOM imager.")
@pass_invocation
def serve(
    invocation: Invocation,
    folder: Path,
    ae_title: str | None,
    port: str | None,
    address: str | None,
    sources: tuple[str, ...],
    clients: tuple[str, ...],
    called: str | None,
    media: str | None,
    pdf: str | None,
    url: str | None,
    imager: str | None,
) -> None:
    """Run a hard-copy device until it gets SIGTERM or SIGINT.

    It takes work items that ask for a print, fetches the images from where they say, prints them, and forgets them. It
    is a node with a small index and store in FOLDER. The first time, these options are written into FOLDER/config.ini,
    which counts from then on. Other commands name that file, such as medserver --config FOLDER/config.ini jobs list.

    For example: medserver printer serve --folder gateway --ae-title GATEWAY --from SERVER@10.0.0.5:11112
    --client WS1@10.0.0.7
    """
    from medserver.config.device import device_configuration, prepare_device

    sections = device_configuration(
        {"ae_title": ae_title, "port": port, "address": address},
        {"ae_title": called, "media": media, "folder": os.path.abspath(pdf) if pdf else None, "url": url},
        sources=sources,
        clients=clients,
        imager=imager,
    )
    path = prepare_device(folder, sections)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # one that comes before the node is ready waits
    from medserver.server import serve as run  # what serves is not imported by the other commands

    config_file = Invocation(path, invocation.overrides, invocation.debug).config_file
    log.configure(config_file.current.log.level)
    run(config_file)
