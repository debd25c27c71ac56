"""The argument PEER and its options, the same for every command that calls a remote AE."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import click

from medserver import log
from medserver.cli.invocation import Invocation
from medserver.cli.parameters import Seconds
from medserver.cli.text import printable
from medserver.config import Config
from medserver.config.addresses import parse_host_and_port
from medserver.config.values import closest, parse_ae_title
from medserver.dicom import status
from medserver.errors import BadUsage, RemoteError, UnknownRemote
from medserver.log import escaped
from medserver.scu.exchange import Response
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, Proposal, associated

COMMENT_LENGTH_MAX = 100
NAMES_LISTED_MAX = 20


@dataclass(frozen=True)
class Peer:
    """A remote AE, and how to call it.

    Parameters
    ----------
    address : Address
        Where it is.
    calling_ae_title : str
        By which AE title we call it.
    limits : WireLimits
        Timeouts and sizes.
    """

    address: Address
    calling_ae_title: str
    limits: WireLimits

    def associated(
        self, proposals: Sequence[Proposal], extended: Mapping[str, bytes] | None = None
    ) -> AbstractContextManager[Association]:
        """Open an association for what is done inside; it is aborted when that fails.

        Raises
        ------
        RemoteError
            It cannot be opened.
        """
        return associated(self.address, proposals, self.calling_ae_title, self.limits, extended)


def failure(peer: Peer, operation: str, response: Response) -> RemoteError:
    """Return an exception that says with which status an operation ended."""
    answer = status.describe(response.code, printable(response.comment, COMMENT_LENGTH_MAX))
    return RemoteError(f"{peer.address} answered the {operation} with {answer}")


def peer_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument PEER with its options; it receives a `Peer` as `peer`."""
    return click.argument("peer", metavar="PEER")(with_peer(function))


def optional_peer_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same where PEER may be left out; the command then receives None."""
    return click.argument("peer", metavar="[PEER]", required=False)(with_peer(function))


def at_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--at PEER``; without it the command receives None, and is about this node."""
    option = click.option("--at", "peer", metavar="PEER", help="At this AE, and not in the index of this node.")
    return option(with_peer(function))


def with_peer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the text PEER and its options by a `Peer`."""

    @click.option(
        "-aet",
        "--calling",
        "calling_ae_title",
        metavar="AE",
        show_default="node.ae_title",
        help="Our AE title.",
    )
    @click.option("-aec", "--called", "called_ae_title", metavar="AE", help="The AE title to call PEER by.")
    @click.option(
        "--timeout",
        "timeout_s",
        metavar="SECONDS",
        type=Seconds(),
        show_default="limits.dimse_timeout_s",
        help="How long to wait for an answer.",
    )
    @functools.wraps(function)
    def command(
        *arguments: Any,
        peer: str | None,
        calling_ae_title: str | None,
        called_ae_title: str | None,
        timeout_s: float | None,
        **options: Any,
    ) -> Any:
        invocation = click.get_current_context().find_object(Invocation)
        _configure_log(invocation.debug)
        if peer is None:
            return function(*arguments, peer=None, **options)
        config = invocation.config
        limits = WireLimits.from_options(config.limits)
        if timeout_s is not None:
            limits = dataclasses.replace(limits, dimse_timeout_s=timeout_s, network_timeout_s=timeout_s)
        address = resolve(config, peer)
        if called_ae_title is not None:
            address = dataclasses.replace(address, ae_title=_ae_title(called_ae_title))
        calling = config.node.ae_title if calling_ae_title is None else _ae_title(calling_ae_title)
        return function(*arguments, peer=Peer(address, calling, limits), **options)

    return command


def resolve(config: Config, text: str) -> Address:
    """Return where a peer is.

    Parameters
    ----------
    text : str
        The name of an ``[ae NAME]`` entry, or ``AE@host:port``.

    Raises
    ------
    UnknownRemote
        There is no such entry.
    BadUsage
        The entry has no port, or the text is not an address.
    """
    remote = config.remote_by_name(text)
    if remote is not None:
        if remote.host is None or remote.port is None:
            raise BadUsage(f"[ae {remote.name}] has no address with a port: it only calls us")
        return Address.of(remote)
    ae_title, at, place = text.rpartition("@")
    if not at:
        names = [remote.name for remote in config.remotes]
        near = closest(text, names) if 0 < len(names) <= NAMES_LISTED_MAX else ""
        raise UnknownRemote(f"{escaped(text)} is neither an entry [ae ...] nor AE@host:port{near}")
    try:
        host, port = parse_host_and_port(place)
    except ValueError as error:
        raise BadUsage(str(error)) from None
    if port is None:
        raise BadUsage(f"'{escaped(text)}' has no port: write AE@host:port")
    return Address(_ae_title(ae_title), host, port)


def _configure_log(debug: bool) -> None:
    """Keep what the libraries have to say to ``--debug``: the command says itself what went wrong."""
    log.configure("debug" if debug else "error")
    logging.getLogger("pynetdicom").setLevel(logging.DEBUG if debug else logging.CRITICAL)


def _ae_title(text: str) -> str:
    try:
        return parse_ae_title(text)
    except ValueError as error:
        raise BadUsage(str(error)) from None
