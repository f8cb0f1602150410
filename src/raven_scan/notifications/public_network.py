"""Sends to addresses that users name, and to none of the machines that only this server reaches.

What is checked is the address that is connected to: a name that answers with another one the second time it is asked
for gains nothing.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind a translator (RFC 6052), private ones too."""

_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class PrivateAddressError(OSError):
    """The name leads to this machine or its own networks."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it belongs to the internet, in whatever way it is written."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None or address in _TRANSLATED:
            return False
    return address.is_global and not address.is_multicast


def find_public_address(host: str, port: int) -> str:
    """An address of the host to connect to.

    Raises:
        PrivateAddressError: one of its addresses is not of the internet.
        OSError: the name does not resolve.
    """
    found = [str(each[4][0]) for each in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)]
    if not all(is_public(ip_address(each.partition("%")[0])) for each in found):
        raise PrivateAddressError("it is not an address of the internet")
    return found[0]


class _PublicBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            address = find_public_address(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None
        return super().connect_tcp(address, port, timeout, local_address, socket_options)


class PublicTransport(httpx.HTTPTransport):
    """Reaches the internet alone, and directly: a proxy would resolve names where nobody checks them."""

    def __init__(self) -> None:
        context = httpx.create_ssl_context()
        super().__init__(verify=context)
        self._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=_PublicBackend())
