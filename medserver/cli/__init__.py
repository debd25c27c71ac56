"""The command line: ``medserver [--config FILE] [--set section.option=value]... SUBCOMMAND ...``.

A subcommand is a module of this package with its name, which holds a click command named `command`, and a row
in `SUBCOMMANDS`. It is imported when it is called, so that ``medserver --help`` stays quick.
"""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from typing import Any

import click

from medserver import __version__
from medserver.cli.invocation import Invocation
from medserver.cli.responses import exit_code
from medserver.errors import ConfigError, MedserverError
from medserver.log import without_controls

# Name and summary: the summary stands here too so that --help need not import every subcommand.
SUBCOMMANDS: tuple[tuple[str, str], ...] = (
    ("access", "Show who may do what, and why."),
    ("ae", "List and edit the AEs that the node knows."),
    ("audit", "List, show, verify and export the audit trail: who has done what."),
    ("backup", "Back the index up; list, verify and restore backups."),
    ("commit", "Ask PEER to commit to the safekeeping of instances, and show what it commits to."),
    ("conditions", "Show with which parameters images were acquired, and compare them."),
    ("config", "Check and show the configuration."),
    ("conformance", "Print the DICOM conformance statement."),
    ("doctor", "Find out what is wrong with this node, or between this node and PEER."),
    ("echo", "Send a C-ECHO to PEER and show how long the answer took."),
    ("find", "Query PEER and show the matches as a table, or as DICOM JSON (PS3.18 F)."),
    ("get", "Fetch patients, studies, series or images from PEER into DIRECTORY."),
    ("index", "Look into the index, compare it with the store, rebuild it."),
    ("jobs", "Show the job queue; retry or drop what has failed."),
    ("manual", "Print TOPIC of the manual, or list the topics."),
    ("move", "Have PEER send patients, studies, series or images to another AE."),
    ("nodes", "See which nodes share the index, and forget those that are gone."),
    ("outbox", "Show what waits to be sent: to whom, for what, since when, and when it is tried next."),
    ("poll", "Fetch what other AEs have (polling): show the [poll NAME] entries, perform one now."),
    ("print", "Print images, here or by a hard-copy device elsewhere, and look after the films of this node."),
    ("printer", "Show and calibrate the printers of this node, or run a hard-copy device."),
    ("procedures", "Look at the performed procedure steps (MPPS) that modalities have reported."),
    ("processing", "Have images processed; see types, rules, and what was made from what."),
    ("render", "Render FILE, or the instance UID of this node, as it is seen, and write it to a PNG or JPEG file."),
    ("retention", "Show what would be deleted by the rules that keep disks from filling; do it once."),
    ("route", "Show and test the rules by which instances are sent on (routing)."),
    ("send", "Send the instances in PATH... to PEER: files, folders, DICOMDIRs and zip archives."),
    ("serve", "Run the node until it gets SIGTERM or SIGINT."),
    ("store", "See how safe the objects are; copy, verify, repair and delete them."),
    ("tls", "Make and show certificates; say whose are believed."),
    ("token", "Make, list and remove tokens for machines."),
    ("transcode", "Transcode IN, a file or a folder, into another transfer syntax, and write it to OUT."),
    ("user", "Add, change and list the users whom AEs may name."),
    ("worker", "Perform jobs until it gets SIGTERM or SIGINT."),
    ("workitem", "Create, list, show, cancel and watch work items (UPS); say who is told of them."),
)


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are called, and the error boundary of the program."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        return [name for name, _ in SUBCOMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None if there is no such one."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return importlib.import_module(f"medserver.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands into the help text without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; an error becomes one line on standard error and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click's own ways to end
        except Exception as error:  # noqa: BLE001 - the error boundary: nothing gets through as a traceback
            if ctx.params.get("debug"):
                traceback.print_exc()
            else:
                _report(error)
            ctx.exit(exit_code(error))


def _report(error: Exception) -> None:
    """Say in one line what went wrong (one for each mistake of a configuration)."""
    if isinstance(error, ConfigError):
        lines = list(error.problems)
    elif isinstance(error, MedserverError):
        lines = [str(error)]
    elif isinstance(error, OSError) and error.strerror:
        lines = [": ".join(str(part) for part in (error.filename, error.strerror) if part)]
    else:
        lines = [f"internal error: {type(error).__name__}: {error} (--debug shows where)"]
    for line in lines:
        click.echo(f"medserver: {without_controls(' '.join(line.split()))}", err=True)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("config.ini"),
    envvar="MEDSERVER_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
@click.option(
    "--set",
    "overrides",
    metavar="SECTION.OPTION=VALUE",
    multiple=True,
    help="Overrides the configuration file. May be repeated.",
)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(__version__, prog_name="medserver")
@click.pass_context
def main(ctx: click.Context, config_path: Path, overrides: tuple[str, ...], debug: bool) -> None:
    """Run and manage a DICOM network node.

    Options can also be set in the environment, as MEDSERVER__SECTION__OPTION.
    """
    ctx.obj = Invocation(config_path, overrides, debug)
