"""The configuration as frozen records. Fields are named as the options; defaults stand in `options`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from medserver.config.addresses import IPAddress, IPNetwork, is_ip_address, plain_address
from medserver.config.options import VOLUME_ROLES
from medserver.config.command import CommandType
from medserver.config.issuer import Issuer
from medserver.config.poll import Poll
from medserver.config.printer import Printer
from medserver.config.processing import Processing
from medserver.config.remote import Remote
from medserver.config.resolver import HostResolver
from medserver.config.retention import Retention
from medserver.config.route import Route
from medserver.config.security import TLSOptions
from medserver.config.web import WebOptions
from medserver.dicom.syntax_names import SHORT_NAMES


Rule = Route | Processing
"""What is applied to what is received."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """``[node]``: who we are and where. `data` is absolute, `processes` at least 1.

    `port` is None where connections in the clear are not accepted, `tls_port` where those over TLS are not.
    """

    ae_title: str
    address: str
    port: int | None
    processes: int
    data: Path
    tls_port: int | None = None
    proxies: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """``[index]``. A relative SQLite path in `url` starts at `NodeOptions.data`."""

    url: str


@dataclass(frozen=True, slots=True)
class JobOptions:
    """``[jobs]``. `url` is ``index`` if its database carries the messages."""

    workers: int
    threads: int
    url: str


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """``[store]``. `verify_interval` is in seconds."""

    duplicates: str
    commitment_copies: int
    copies_before_success: int = 1
    verify_interval: float = 30 * 86_400.0
    verify_rate_max_mb_per_s: int = 50
    transfer_syntaxes: tuple[str, ...] = ()
    transcoded_max_bytes: int = 1024**3
    compress: str = "none"


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """``[backup]``. `interval` is in seconds, 0 for never; `volume` may be ``auto``, see `Config.backup_volume`."""

    interval: float = 86_400.0
    volume: str = "auto"
    keep: int = 14


@dataclass(frozen=True, slots=True)
class WorkitemOptions:
    """``[workitems]``. Times are in seconds, `keep_locked` and `lost_after` 0 for never; `status_to` names entries."""

    keep: float = 7 * 86_400.0
    keep_locked: float = 90 * 86_400.0
    lost_after: float = 0.0
    issued_again_max: int = 3
    status_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """``[audit]``. Times are in seconds, `keep` 0 for ever; paths are absolute, `repositories` URLs; `source` may be
    ``auto``."""

    source: str = "auto"
    site: str | None = None
    keep: float = 3650 * 86_400.0
    required: bool = False
    repositories: tuple[str, ...] = ()
    resend: float = 10.0
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class VolumeOptions:
    """One ``[volume NAME]``: in a directory or in a bucket. `path` and `credentials` are absolute."""

    name: str
    path: Path | None
    role: str
    free_min_bytes: int
    url: str | None = None
    endpoint: str | None = None
    region: str | None = None
    credentials: Path | None = None


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """``[limits]``: what nobody can exceed."""

    associations_max: int
    associations_per_address_max: int
    associations_per_ae_max: int
    associations_per_minute_per_address_max: int
    waiting_max: int
    connection_timeout_s: float
    acse_timeout_s: float
    dimse_timeout_s: float
    network_timeout_s: float
    pdu_size_max_bytes: int
    command_set_size_max_bytes: int
    identifier_size_max_bytes: int
    object_size_max_bytes: int
    query_results_max: int
    commitment_references_max: int
    commitments_pending_max: int
    processing_memory_max_bytes: int
    processing_time_max_s: float


@dataclass(frozen=True, slots=True)
class MailOptions:
    """``[mail]``."""

    server: tuple[str, int | None] | None = None
    sender: str = "medserver@localhost"


@dataclass(frozen=True, slots=True)
class LogOptions:
    """``[log]``."""

    level: str


@dataclass(frozen=True)
class Config:
    """Everything that config.ini, the environment and the command line say."""

    node: NodeOptions
    index: IndexOptions
    jobs: JobOptions
    store: StoreOptions
    volumes: tuple[VolumeOptions, ...]
    limits: LimitOptions
    log: LogOptions
    remotes: tuple[Remote, ...]
    backup: BackupOptions = BackupOptions()
    workitems: WorkitemOptions = WorkitemOptions()
    mail: MailOptions = MailOptions()
    tls: TLSOptions = TLSOptions()
    web: WebOptions = WebOptions()
    audit: AuditOptions = AuditOptions()
    routes: tuple[Route, ...] = ()
    processings: tuple[Processing, ...] = ()
    types: tuple[CommandType, ...] = ()
    printers: tuple[Printer, ...] = ()
    polls: tuple[Poll, ...] = ()
    retentions: tuple[Retention, ...] = ()
    issuers: tuple[Issuer, ...] = ()
    resolver: HostResolver = field(default_factory=HostResolver, compare=False, repr=False)

    @property
    def primary_volume(self) -> VolumeOptions:
        """The volume that takes new objects."""
        return next(volume for volume in self.volumes if volume.role == "primary")

    @property
    def volumes_to_read(self) -> tuple[VolumeOptions, ...]:
        """All volumes in the order in which an object is looked for: the primary, replicas, archives."""
        return tuple(sorted(self.volumes, key=lambda volume: VOLUME_ROLES.index(volume.role)))

    @property
    def backup_volume(self) -> VolumeOptions:
        """The volume that gets the backups: the one that is named, else the first replica or the primary."""
        if self.backup.volume != "auto":
            return next(volume for volume in self.volumes if volume.name == self.backup.volume)
        return next((volume for volume in self.volumes if volume.role == "replica"), self.primary_volume)

    def goes_by(self, evidence: str) -> bool:
        """Tell whether a rule takes something for evidence that a study is complete."""
        return any(evidence in rule.complete_by for rule in self.rules)

    def compress_to(self, remote: Remote) -> str:
        """Return the transfer syntax that what a remote AE sends is compressed to later; empty if it is not."""
        return self._compress_to(remote.ingest_transfer_syntax)

    def compress_to_of(self, calling_ae_title: str) -> str:
        """Return what `compress_to` does for an AE of which only the title is known."""
        entries = self._remotes_by_ae_title.get(calling_ae_title, [])
        return self._compress_to(next((one.ingest_transfer_syntax for one in entries), ""))

    def _compress_to(self, own: str) -> str:
        name = own or self.store.compress
        return "" if name == "none" else SHORT_NAMES[name]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules that are applied to what is received."""
        return (*self.routes, *self.processings)

    def route(self, name: str) -> Route | None:
        """Return the rule of this name."""
        return next((route for route in self.routes if route.name == name), None)

    def poll(self, name: str) -> Poll | None:
        """Return the entry of this name of what is collected."""
        return next((poll for poll in self.polls if poll.name == name), None)

    def printer(self, name: str) -> Printer | None:
        """Return the printer of this name."""
        return next((printer for printer in self.printers if printer.name == name), None)

    def printer_called(self, ae_title: str) -> Printer | None:
        """Return the printer that this called AE title chooses."""
        return next((printer for printer in self.printers if ae_title and printer.ae_title == ae_title), None)

    def printer_for(self, called_ae_title: str) -> Printer | None:
        """Return the printer that films are for of who calls by an AE title.

        It is that of the title. Who calls the node by its own has the first printer without a title, or the only one.
        """
        chosen = self.printer_called(called_ae_title)
        if chosen is not None:
            return chosen
        without = (printer for printer in self.printers if not printer.ae_title)
        return next(without, self.printers[0] if len(self.printers) == 1 else None)

    def retention(self, name: str) -> Retention | None:
        """Return the rule of this name by which studies are deleted."""
        return next((rule for rule in self.retentions if rule.name == name), None)

    @cached_property
    def _remotes_by_name(self) -> dict[str, Remote]:
        return {remote.name: remote for remote in self.remotes}

    @cached_property
    def _remotes_by_ae_title(self) -> dict[str, list[Remote]]:
        by_ae_title: dict[str, list[Remote]] = {}
        for remote in self.remotes:
            by_ae_title.setdefault(remote.ae_title, []).append(remote)
        return by_ae_title

    def remote_by_name(self, name: str) -> Remote | None:
        """Return the entry of this name, which need not be its AE title."""
        return self._remotes_by_name.get(name)

    def remotes_by_ae_title(self, ae_title: str) -> Sequence[Remote]:
        """Return the entries with this AE title."""
        return self._remotes_by_ae_title.get(ae_title, ())

    def destination(self, ae_title: str) -> Remote | None:
        """Return the entry with this AE title to which a C-MOVE may send: one with a port (PS3.4 C.4.2)."""
        candidates = self._remotes_by_ae_title.get(ae_title.strip(" "), [])
        return next((remote for remote in candidates if remote.is_destination), None)

    def remotes_for(self, calling_ae_title: str, source_address: str) -> Remote | None:
        """Return the entry of a caller: AE title and address must both be its own.

        Parameters
        ----------
        calling_ae_title : str
            As in the A-ASSOCIATE request; spaces around it are not significant (PS3.8 9.3.2).
        source_address : str
            The IP address of the peer.

        Returns
        -------
        Remote or None
            None if no entry fits: the caller is unknown.
        """
        candidates = self._remotes_by_ae_title.get(calling_ae_title.strip(" "), [])
        if not candidates:
            return None
        address = plain_address(source_address)
        by_address = next((remote for remote in candidates if remote.calls_from(address)), None)
        return by_address or next(
            (remote for remote in candidates if self._calls_from_host_name(remote, address, wait=True)), None
        )

    def knows_address(self, source_address: str) -> bool:
        """Tell whether any entry calls from this address; never waits for a name server."""
        address = plain_address(source_address)
        return any(
            remote.calls_from(address) or self._calls_from_host_name(remote, address, wait=False)
            for remote in self.remotes
        )

    def _calls_from_host_name(self, remote: Remote, address: IPAddress, *, wait: bool) -> bool:
        """Tell whether an entry that names its host has this address now."""
        host = remote.source_host_name
        return host is not None and address in self.resolver.addresses(host, wait=wait)

    @property
    def is_loopback(self) -> bool:
        """Whether the node listens to this machine alone."""
        host = self.node.address
        return plain_address(host).is_loopback if is_ip_address(host) else host == "localhost"
