"""Network addresses in the one form in which they are compared.

Here: host, port and network as config.ini writes them. Not here: the look-up of host names (`resolver`).
"""

from __future__ import annotations

import ipaddress
import re

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_MAPPED_PREFIX_BITS = 96  # ::ffff:0:0/96 holds the IPv4 addresses


def plain_address(text: str) -> IPAddress:
    """Return an IP address without a zone, and as IPv4 if it is an IPv4 address mapped into IPv6.

    A socket that listens on IPv6 shows an IPv4 peer as ``::ffff:10.0.0.5``.

    Parameters
    ----------
    text : str
        An IPv4 or IPv6 address.

    Raises
    ------
    ValueError
        If the text is not an address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def host_network(address: IPAddress) -> IPNetwork:
    """Return the network that holds this address alone."""
    return ipaddress.ip_network(address)


def is_ip_address(host: str) -> bool:
    """Tell whether a host is written as an address rather than as a name."""
    try:
        plain_address(host)
    except ValueError:
        return False
    return True


def parse_network(text: str) -> IPNetwork:
    """Read ``10.0.0.0/24`` or a single address.

    Raises
    ------
    ValueError
        If the text is neither, or has bits set behind the prefix.
    """
    try:
        if "/" not in text:
            return host_network(plain_address(text))
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"'{text}' is neither an IP address nor a network such as 10.0.0.0/24") from None
    if ipaddress.ip_interface(text).ip != network.network_address:
        raise ValueError(f"'{text}' has bits set behind the prefix: write {network} or the address alone")
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= _MAPPED_PREFIX_BITS:
        return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_PREFIX_BITS))
    return network


def parse_host(text: str) -> str:
    """Read an IP address or a host name.

    Raises
    ------
    ValueError
        If the text is neither.
    """
    if is_ip_address(text):
        return text
    looks_like_number = re.fullmatch(r"[0-9.]+", text) is not None
    if looks_like_number or _HOST_NAME.fullmatch(text) is None:
        raise ValueError(f"'{text}' is neither an IP address nor a host name")
    return text


def parse_port(text: str) -> int:
    """Read a TCP port from 1 to 65535.

    Raises
    ------
    ValueError
        If the text is not such a number.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError(f"'{text}' is not a port (1 to 65535)")
    return int(text)


def parse_host_and_port(text: str) -> tuple[str, int | None]:
    """Read ``host:port``, ``[IPv6]:port`` or a host alone.

    Returns
    -------
    tuple of (str, int or None)
        The host without brackets, and the port; None if there is none.

    Raises
    ------
    ValueError
        If the text is none of these.
    """
    bracketed = re.fullmatch(r"\[([^\[\]]+)\](?::(.*))?", text)
    if bracketed:
        host, port = bracketed.groups()
        if ":" not in host:
            raise ValueError(f"'{text}': brackets are for IPv6 addresses")
    elif text.count(":") > 1:
        host, port = text, None  # an IPv6 address without brackets cannot carry a port
    else:
        host, colon, port = text.partition(":")
        port = port if colon else None
    return parse_host(host), None if port is None else parse_port(port)
