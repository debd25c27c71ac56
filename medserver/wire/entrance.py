"""Where connections are accepted: a port in the clear or over TLS, and who may say for whom it connects."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medserver.config.addresses import IPNetwork, is_ip_address, plain_address

if TYPE_CHECKING:
    from OpenSSL import SSL


@dataclass(frozen=True)
class Entrance:
    """A port on which connections are accepted.

    Attributes
    ----------
    listener : socket.socket
        Listening. Several processes may accept from one.
    context : callable or None
        Returns the context of TLS, as it is to be for the next connection; raises ConfigError. None in the clear.
    proxies : tuple of IPv4Network or IPv6Network
        TCP balancers, whose connections begin with a header of the PROXY protocol.
    """

    listener: socket.socket
    context: Callable[[], SSL.Context] | None = None
    proxies: tuple[IPNetwork, ...] = ()

    @property
    def is_secure(self) -> bool:
        """Whether connections are over TLS."""
        return self.context is not None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self.listener.getsockname()[1]

    def is_proxy(self, address: str) -> bool:
        """Tell whether connections from an address begin with a header of the PROXY protocol."""
        if not self.proxies or not is_ip_address(address):
            return False
        return any(plain_address(address) in network for network in self.proxies)
