"""The limits of one association, as the wire needs them."""

from __future__ import annotations

from dataclasses import dataclass

from medserver.config import LimitOptions


@dataclass(frozen=True)
class WireLimits:
    """Timeouts and sizes of an association.

    Attributes
    ----------
    connection_timeout_s, acse_timeout_s, dimse_timeout_s, network_timeout_s : float
        For the TCP connection, an answer of the association control, an answer of a service, and a peer that
        neither sends nor takes bytes.
    pdu_length_max : int
        The PDU length that is told to the peer and enforced (PS3.8 D.1).
    command_set_size_max_bytes : int
        The longest command set that is read.
    drain_max_bytes : int
        How much of a refused data set is read and dropped before the association is aborted.
    """

    connection_timeout_s: float = 10.0
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0
    pdu_length_max: int = 131_072
    command_set_size_max_bytes: int = 4096
    drain_max_bytes: int = 64 * 1024 * 1024

    @classmethod
    def from_options(cls, options: LimitOptions) -> WireLimits:
        """Return the limits that the configuration sets."""
        return cls(
            connection_timeout_s=options.connection_timeout_s,
            acse_timeout_s=options.acse_timeout_s,
            dimse_timeout_s=options.dimse_timeout_s,
            network_timeout_s=options.network_timeout_s,
            pdu_length_max=options.pdu_size_max_bytes,
            command_set_size_max_bytes=options.command_set_size_max_bytes,
            drain_max_bytes=options.object_size_max_bytes,
        )
