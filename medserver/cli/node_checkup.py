"""The examination of this node: what it needs to run, and who it can reach."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from medserver import lock
from medserver.cli.checkup import OK, PROBLEM, WARNING, Step
from medserver.cli.invocation import Invocation
from medserver.cli.peer import Peer
from medserver.cli.text import count_in_words, size_in_words
from medserver.config import Config, Remote, VolumeOptions
from medserver.config.addresses import is_ip_address, plain_address
from medserver.errors import AssociationRejected, ConfigError, ConnectionFailed, MedserverError
from medserver.index import RecordedVolume, open_index
from medserver.index.nodes.sight import look_at_nodes
from medserver.modes import owner_of
from medserver.node import open_volume, utc_now
from medserver.scu import verification
from medserver.store import Marker
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address

FREE_MIN_BYTES = 1_000_000_000
FREE_LOW_FRACTION = 0.1
PEER_TIMEOUT_S = 5.0
PEERS_AT_ONCE = 8


def examine_node(invocation: Invocation) -> Iterator[Step]:
    """Examine configuration, folders, index, port and peers."""
    try:
        config = invocation.config
    except ConfigError as error:
        for problem in error.problems:
            yield Step("configuration", PROBLEM, problem)
        return
    yield Step(
        "configuration",
        OK,
        f"{invocation.config_file.path} has no mistakes and knows {count_in_words(len(config.remotes), 'AE')}.",
    )
    yield _folder("data", "The data folder", config.node.data)
    recorded = _recorded_volumes(config)
    for volume in config.volumes:
        yield _volume(volume, recorded)
    yield _index(config)
    yield from _nodes(config)
    yield _port(config)
    yield from _tls(config)
    yield from _peers(config)


def _recorded_volumes(config: Config) -> dict[str, RecordedVolume] | None:
    """Return the volumes that belong to the archive; None if there is none yet, or the index does not tell."""
    if not config.node.data.is_dir():
        return None
    try:
        with (
            lock.shared(config.node.data),
            closing(open_index(config.index.url, base=config.node.data)) as index,
        ):
            return index.volumes.all() or None
    except MedserverError:  # which is told where the index is examined
        return None


def _volume(options: VolumeOptions, recorded: dict[str, RecordedVolume] | None) -> Step:
    """Examine a folder or a bucket, and whether it is the one that it should be."""
    name = f"volume {options.name}"
    row = (recorded or {}).get(options.name)
    if row is not None and row.detached:
        return Step(name, WARNING, f"The volume {options.name} is detached.", f"medserver store attach {options.name}")
    if recorded is not None:
        with closing(open_volume(options)) as volume:
            volume.attach(Marker(row.volume_uuid, row.archive_uuid) if row is not None else Marker("", ""))
            condition = volume.condition()
        if not condition.is_present:
            return Step(
                name,
                PROBLEM,
                f"The volume {options.name} is {condition.state}: {condition.detail}.",
                "Mount its disk, or find out what is in its place; nothing is written there meanwhile."
                if row is not None
                else f"It is no volume of this archive yet: medserver store add {options.name}",
            )
    if options.path is not None:
        return _folder(name, f"The folder of the volume {options.name}", options.path)
    with closing(open_volume(options)) as volume:
        try:
            next(volume.walk(), None)
        except MedserverError as error:
            return Step(name, PROBLEM, f"The bucket of the volume {options.name} cannot be used: {error}")
    return Step(name, OK, f"The bucket of the volume {options.name} answers.")


def _folder(name: str, subject: str, path: Path) -> Step:
    """Examine a folder that is written to, and the space in it."""
    existing = path
    while not os.path.exists(existing):  # unlike Path.exists it raises nothing where one may not look
        existing = existing.parent
    if not existing.is_dir():
        return Step(name, PROBLEM, f"{subject} {path} cannot be made: {existing} is not a folder.")
    if not os.access(existing, os.W_OK | os.X_OK):
        advice = f"It belongs to {owner_of(existing)}: run this as that user, or give it to the one who runs the node."
        return Step(name, PROBLEM, f"{subject} {path} cannot be written: no permission in {existing}.", advice)
    usage = shutil.disk_usage(existing)
    free = f"{size_in_words(usage.free)} of {size_in_words(usage.total)} free"
    if usage.free < FREE_MIN_BYTES:
        return Step(name, PROBLEM, f"{subject} {path} has hardly any space left: {free}.")
    if existing != path:
        return Step(name, OK, f"{subject} {path} does not exist yet and is made at the first start; {free}.")
    if usage.free < FREE_LOW_FRACTION * usage.total:
        return Step(name, WARNING, f"{subject} {path} is filling up: {free}.")
    return Step(name, OK, f"{subject} {path} can be written; {free}.")


def _index(config: Config) -> Step:
    """Open the index, which refuses a SQLite that can corrupt it."""
    if not config.node.data.is_dir():
        return Step("index", OK, "There is no index yet; it is made at the first start.")
    try:
        with (
            lock.shared(config.node.data),
            closing(open_index(config.index.url, base=config.node.data)) as index,
        ):
            counts, (unresolved, new) = index.counts(), index.unresolved_conflicts(utc_now() - timedelta(days=1))
    except MedserverError as error:
        return Step("index", PROBLEM, f"The index cannot be opened: {error}")
    holds = f"{count_in_words(counts.instances, 'instance')} of {count_in_words(counts.patients, 'patient')}"
    fixed = ", on a SQLite without the known corruption bug" if config.index.url.startswith("sqlite") else ""
    text = f"The index opens and holds {holds}{fixed}."
    if unresolved:
        said = f"{text} {count_in_words(unresolved, 'unresolved conflict')}, {new} of them found in the last day."
        return Step("index", WARNING, said, "medserver index conflicts list tells which.")
    return Step("index", OK, text)


def _nodes(config: Config) -> Iterator[Step]:
    """Tell which nodes share the index, if several do, and who has locked it."""
    if not config.node.data.is_dir():
        return
    try:
        seen = look_at_nodes(config.index.url, config.node.data)
    except MedserverError:  # the index cannot be opened, which was said
        return
    if seen.problem:
        yield Step("nodes", PROBLEM, f"Nobody can write to the index: {seen.problem}")
    silent = [node for node in seen.nodes if not node.is_heard(seen.now)]
    if len(seen.nodes) > 1 and silent:
        names = ", ".join(f"{node.name} ({node.uuid})" for node in silent)
        advice = "medserver nodes forget UUID, if it is gone for good."
        yield Step("nodes", WARNING, f"Of the nodes that share the index some are not heard of: {names}.", advice)
    elif len(seen.nodes) > 1:
        yield Step("nodes", OK, f"{count_in_words(len(seen.nodes), 'node')} share the index and are heard of.")


def _port(config: Config) -> Step:
    """Find out whether the node itself answers at its port."""
    host = _reachable_host(config.node.address)
    if config.node.port is None:
        return Step("port", OK, "Nothing is accepted in the clear (port = none).")
    if not config.node.port:
        return Step("port", OK, "The operating system chooses the port at each start (port = 0).")
    place = f"{host}:{config.node.port}"
    calling = _admitted_caller(config, host)
    address = Address(config.node.ae_title, host, config.node.port)
    peer = Peer(address, calling or config.node.ae_title, _short_limits(config))
    if calling is None:
        return _port_alone(peer, place)
    try:
        _echo(peer)
    except ConnectionFailed:
        return Step(
            "port",
            WARNING,
            f"Nobody listens at {place}: the node is not running.",
            "medserver serve starts it.",
        )
    except AssociationRejected as error:
        return Step("port", PROBLEM, f"Another DICOM node than this one listens at {place}: {error}")
    except MedserverError as error:
        return Step("port", PROBLEM, f"What listens at {place} is not this node: {error}")
    return Step("port", OK, f"The node is running and answers at {place}.")


def _tls(config: Config) -> Iterator[Step]:
    """Find out whether the certificates can be used, and how long; nothing where there is no TLS."""
    from medserver.tls.contexts import server_context
    from medserver.tls.expiry import expiries, uses_tls

    if not uses_tls(config):
        return
    if config.node.tls_port is not None:
        try:
            server_context(config.tls)
        except ConfigError as error:
            yield Step("tls", PROBLEM, f"The node cannot begin TLS: {error}")
            return
    now = utc_now()
    due = [one for one in expiries(config) if one.is_due(now, config.tls.expiry_warning)]
    for one in due:
        is_past = bool(one.problem) or (one.expires_at is not None and one.expires_at <= now)
        state = PROBLEM if is_past and not one.what.startswith("CRL") else WARNING
        yield Step("tls", state, f"{one.path}: {one.what} {one.in_words(now)}.", "medserver tls expiry lists them.")
    if not due:
        yield Step("tls", OK, "Certificates, CAs and CRLs can be read, and none expires soon.")


def _port_alone(peer: Peer, place: str) -> Step:
    """Find out whether anything listens, without an association that would be refused and noted as unknown."""
    from medserver.cli.peer_checkup import connect

    try:
        connect(peer.address.host, peer.address.port, PEER_TIMEOUT_S)
    except OSError:
        return Step(
            "port",
            WARNING,
            f"Nobody listens at {place}: the node is not running.",
            "medserver serve starts it.",
        )
    return Step(
        "port", OK, f"Something listens at {place}; no AE may call from this machine to find out what."
    )


def _reachable_host(address: str) -> str:
    """Return where the node is called on this machine, if it listens on all addresses."""
    if is_ip_address(address) and plain_address(address).is_unspecified:
        return "::1" if ":" in address else "127.0.0.1"
    return address


def _admitted_caller(config: Config, host: str) -> str | None:
    """Return the AE title of an entry that may call from this machine and verify, None if there is none."""
    if not is_ip_address(host):
        return None
    return next(
        (
            remote.ae_title
            for remote in config.remotes
            if remote.calls_from(plain_address(host)) and remote.permits("echo") and not remote.security.is_required
            if config.remotes_for(remote.ae_title, host) is remote
        ),
        None,
    )


def _peers(config: Config) -> Iterator[Step]:
    """Send a C-ECHO to each AE that can be called."""
    remotes = [remote for remote in config.remotes if remote.is_destination]
    with ThreadPoolExecutor(PEERS_AT_ONCE) as pool:
        yield from pool.map(lambda remote: _peer(config, remote), remotes)


def _peer(config: Config, remote: Remote) -> Step:
    address = Address.of(remote)
    started_at = time.monotonic()
    try:
        _echo(Peer(address, config.node.ae_title, _short_limits(config)))
    except MedserverError as error:
        advice = f"medserver doctor {remote.name} tells more."
        return Step(f"ae {remote.name}", WARNING, f"[ae {remote.name}] does not answer: {error}", advice)
    duration_ms = (time.monotonic() - started_at) * 1000
    return Step(f"ae {remote.name}", OK, f"[ae {remote.name}] {address} answers, in {duration_ms:.0f} ms.")


def _echo(peer: Peer) -> None:
    """Send a C-ECHO; that it is answered is enough, whatever the status."""
    with peer.associated([verification.PROPOSAL]) as association:
        verification.echo(association)


def _short_limits(config: Config) -> WireLimits:
    """Return limits for a quick look."""
    limits = WireLimits.from_options(config.limits)
    return replace(
        limits,
        connection_timeout_s=min(limits.connection_timeout_s, PEER_TIMEOUT_S),
        acse_timeout_s=min(limits.acse_timeout_s, PEER_TIMEOUT_S),
        dimse_timeout_s=min(limits.dimse_timeout_s, PEER_TIMEOUT_S),
    )
