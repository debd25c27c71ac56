"""``medserver commit``: are instances safe at a remote AE (Storage Commitment, PS3.4 J)?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click

from medserver.cli.commit_report import echo_instances, echo_transactions, outcomes_of
from medserver.cli.invocation import Invocation, json_option, pass_invocation
from medserver.cli.keys import key_option, parse_keys
from medserver.cli.peer import Peer, optional_peer_argument
from medserver.cli.responses import FAILURE
from medserver.cli.text import CELL_LENGTH_MAX, printable
from medserver.commitment.asking import Inquiry
from medserver.config import Config
from medserver.dicom.dataset_values import value_of
from medserver.dicom.keys import parse_key
from medserver.dicom.storage_commitment import Reference
from medserver.dicom.uids import is_valid_uid
from medserver.errors import BadUsage, NoSuchInstance, RemoteError
from medserver.index import Index
from medserver.node import Node, open_node
from medserver.scu.commitment import PROPOSAL
from medserver.scu.files import find_instances
from medserver.wire.requestor import associate


@click.command()
@optional_peer_argument
@click.argument("what", metavar="[STUDY_UID|PATH]...", nargs=-1)
@key_option
@click.option("--list", "list_all", is_flag=True, help="List the transactions, those of peers with us included.")
@click.option("--show", "transaction_uid", metavar="UID", help="Show the instances of a transaction.")
@json_option
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context,
    invocation: Invocation,
    peer: Peer | None,
    what: tuple[str, ...],
    keys: tuple[str, ...],
    list_all: bool,
    transaction_uid: str | None,
    as_json: bool,
) -> None:
    """Ask PEER to commit to the safekeeping of instances, and show what it commits to.

    PEER is the name of an [ae NAME] entry or AE@host:port. The instances are those that this node has of the studies
    STUDY_UID, or of what -k selects, or those in the files and folders PATH.

    PEER reports on the same association, or on one of its own to the running node; then its entry has to allow
    'commit'. What has not come within --timeout can be seen later with --list and --show. The exit code is 0 only if
    PEER commits to everything.
    """
    with _opened(invocation) as node:
        if list_all or transaction_uid is not None:
            if peer is not None or (list_all and transaction_uid is not None):
                raise BadUsage("--list and --show take no other arguments")
            if list_all:
                echo_transactions(node.index, node.clock(), as_json)
            else:
                _show(node.index, str(transaction_uid), as_json)
            return
        if peer is None:
            raise BadUsage("which PEER? Give the name of an entry [ae ...] or AE@host:port, or --list")
        references = _references(node.index, what, keys)
        numbers = _ask(node, peer, references, as_json)
        outcomes = outcomes_of(node.index, numbers)
        echo_instances(outcomes, str(peer.address), as_json)
    ctx.exit(0 if all(one.is_safe for one in outcomes) else FAILURE)


@contextmanager
def _opened(invocation: Invocation) -> Iterator[Node]:
    with closing(open_node(invocation.config_file)) as node:
        yield node


def _show(index: Index, transaction_uid: str, as_json: bool) -> None:
    numbers = index.commitments.with_uid(transaction_uid)
    if not numbers:
        raise BadUsage(f"there is no transaction {printable(transaction_uid, CELL_LENGTH_MAX)}")
    stored = index.commitments.get(numbers[0])
    echo_instances(outcomes_of(index, numbers), stored.ae_title if stored else "", as_json)


def _ask(node: Node, peer: Peer, references: list[Reference], as_json: bool) -> list[int]:
    """Ask, wait for the reports, and return the numbers of the transactions.

    Raises
    ------
    RemoteError
        PEER cannot be reached, or does not take the request.
    """
    config = node.config.current
    ae_title = peer.address.ae_title
    remote = config.destination(ae_title)
    association = associate(peer.address, [PROPOSAL], peer.calling_ae_title, peer.limits)
    inquiry = None
    try:
        inquiry = Inquiry(node.index, association, ae_title, remote.name if remote else "")
        inquiry.ask(references)
        if not inquiry.wait(peer.limits.dimse_timeout_s):
            _explain(config, ae_title)
        return inquiry.numbers
    except RemoteError:
        association.abort()
        raise
    finally:
        if inquiry is not None and inquiry.is_open:
            association.release()
        association.close()


def _explain(config: Config, ae_title: str) -> None:
    """Say why there may be no report."""
    click.echo("there is no report yet: look for it with medserver commit --list", err=True)
    if not any(one.ae_title == ae_title and one.permits("commit") for one in config.remotes):
        click.echo(f"no entry [ae ...] allows 'commit' for {ae_title}: it cannot report to this node", err=True)


def _references(index: Index, what: tuple[str, ...], keys: tuple[str, ...]) -> list[Reference]:
    """Return the instances that the command line names, each once.

    Raises
    ------
    BadUsage, NoSuchInstance
        It names none.
    """
    if not what and not keys:
        raise BadUsage("no instances are named: give Study Instance UIDs, files or folders, or -k KEY=VALUE")
    studies = [text for text in what if is_valid_uid(text) and not Path(text).exists()]
    paths = [Path(text) for text in what if text not in studies]
    found: dict[Reference, None] = {}
    if studies:
        found |= dict.fromkeys(_selected(index, [f"StudyInstanceUID={uid}" for uid in studies], one_by_one=True))
    if keys:
        found |= dict.fromkeys(_selected(index, keys))
    if paths:
        found |= dict.fromkeys(_in_files(paths))
    return list(found)


def _selected(index: Index, keys: tuple[str, ...] | list[str], one_by_one: bool = False) -> list[Reference]:
    """Return what the index has: what fulfils all keys, or for each key what fulfils it."""
    references: list[Reference] = []
    for some in [[key] for key in keys] if one_by_one else [keys]:
        identifier = parse_keys(some).identifier
        values = [(one.keyword, one.VR, value_of(identifier, one.keyword)) for one in identifier]
        conditions = [parse_key(*one) for one in values if one[0] != "SpecificCharacterSet" and one[2]]
        try:
            selection = index.select([one for one in conditions if one is not None])
        except ValueError as error:
            raise BadUsage(f"the index does not keep that: {error}") from None
        if not conditions or not selection.count:
            raise NoSuchInstance(f"this node has no instance with {' '.join(some)}")
        references += [Reference(one.sop_class_uid, one.sop_instance_uid) for one in selection]
    return references


def _in_files(paths: list[Path]) -> list[Reference]:
    """Return the instances in files and folders; a file that should be one and cannot be read is an error."""
    references = []
    with ExitStack() as archives:
        for finding in find_instances(paths, archives):
            if finding.problem:
                raise BadUsage(f"{printable(finding.name)}: {printable(finding.problem)}")
            if finding.outgoing is not None:
                references.append(Reference(finding.outgoing.sop_class_uid, finding.outgoing.sop_instance_uid))
    if not references:
        raise NoSuchInstance("there is no DICOM instance in these files")
    return references
