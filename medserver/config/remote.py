"""A remote AE as config.ini knows it: who it is, where it calls from and is called, what it may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from medserver.config.addresses import IPAddress, IPNetwork, is_ip_address
from medserver.config.security import Security

SERVICES = ("echo", "store", "find", "move", "get", "commit", "mpps", "process", "print")

UPS_EVENT, NOT_INFORMED = "ups-event", "none"
INFORM_NAMES = "ups-event, the URL of a webhook, a mail address or none"

IDENTITY_NONE, IDENTITY_ACCEPTED, IDENTITY_REQUIRED = IDENTITIES = ("none", "accepted", "required")
"""Whether an AE names a user: what it says is passed over, is believed once it is verified, or must be there."""

_WEBHOOK = re.compile(r"https?://[^\s/@]+(/\S*)?")
_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class Identification:
    """Which users an AE names, and which one is named to it (PS3.7 D.3.3.7).

    Parameters
    ----------
    demanded : str
        Of `IDENTITIES`.
    users : tuple of str
        Those that it may name; empty for every one that is known.
    user : str or None
        Who is named to it.
    passcode_file : Path or None
        Where the passcode of that user is, absolute.
    token_file : Path or None
        Where a JSON Web Token for it is, absolute.
    """

    demanded: str = IDENTITY_NONE
    users: tuple[str, ...] = ()
    user: str | None = None
    passcode_file: Path | None = None
    token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """One ``[ae NAME]`` entry.

    Parameters
    ----------
    name : str
        Name of the entry.
    ae_title : str
        AE title by which it calls and is called.
    host : str or None
        Where it is called: IP address or host name. None if it is never called.
    port : int or None
        The port at which it is called. None if it is never called.
    sources : tuple of IPv4Network or IPv6Network
        Where it calls from. Empty if it calls from whatever address the host name has.
    allow : frozenset of str
        The services that it may use, of `SERVICES`.
    private_sop_classes : tuple of str
        Storage SOP classes outside the standard that are accepted from it; whoever may get is sent what is stored.
    transfer_syntaxes : tuple of str
        What it is to be sent, the best first. Empty: as stored, or uncompressed.
    ingest_transfer_syntax : str or None
        What is made of the images that it sends. None: what the store makes of all.
    must_commit : bool
        Whether what a rule sends it counts as delivered only when it has committed to keep it.
    send_associations : int
        Over how many associations at a time rules send to it.
    send_rate_max_mb_per_s : float
        How fast, over all of them [MB/s]; 0 is without limit.
    inform : str
        How it is told what is done with its images: `UPS_EVENT`, `NOT_INFORMED`, a URL, or a mail address.
    identification : Identification
        Its users.
    security : Security
        What of TLS it needs, and by which certificates it is recognised.
    """

    name: str
    ae_title: str
    host: str | None
    port: int | None
    sources: tuple[IPNetwork, ...]
    allow: frozenset[str]
    private_sop_classes: tuple[str, ...] = ()
    transfer_syntaxes: tuple[str, ...] = ()
    ingest_transfer_syntax: str | None = None
    must_commit: bool = False
    send_associations: int = 1
    send_rate_max_mb_per_s: float = 0.0
    inform: str = NOT_INFORMED
    identification: Identification = Identification()
    security: Security = Security()

    def permits(self, service: str) -> bool:
        """Tell whether this AE may use a service (one of `SERVICES`)."""
        return service in self.allow

    @property
    def is_destination(self) -> bool:
        """Whether associations can be opened to it."""
        return self.host is not None and self.port is not None

    @property
    def source_host_name(self) -> str | None:
        """The host name whose addresses it calls from; None if `sources` says it all."""
        if self.sources or self.host is None or is_ip_address(self.host):
            return None
        return self.host

    def calls_from(self, address: IPAddress) -> bool:
        """Tell whether an address is one of `sources`."""
        return any(address in network for network in self.sources)


def parse_inform(text: str) -> str:
    """Read how an AE is told: one of the two words, the URL of a webhook, or a mail address.

    Raises
    ------
    ValueError
        It is something else.
    """
    if text.lower() in (UPS_EVENT, NOT_INFORMED):
        return text.lower()
    if _WEBHOOK.fullmatch(text) or _MAIL_ADDRESS.fullmatch(text):
        return text
    raise ValueError(f"'{text}' is not {INFORM_NAMES}")
