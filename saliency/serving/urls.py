"""Photos fetched from addresses that clients name, without being led into the server's own network.

A name is resolved once, every address that it has must be public, and the connection goes to the
address that was checked: a name that means another address a moment later (DNS rebinding) changes
nothing. The same holds after each redirect.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from saliency.serving.limits import Refused

REDIRECTS = 3
MOVED = (301, 302, 303, 307, 308)
PART = 1 << 16
_V4_IN_V6 = [
    (ipaddress.ip_network("64:ff9b::/96"), 0),  # NAT64 (RFC 6052)
    (ipaddress.ip_network("2002::/16"), 80),  # 6to4 (RFC 3056)
    (ipaddress.ip_network("::/96"), 0),  # IPv4-compatible, deprecated
]
"""IPv6 networks that stand for IPv4 addresses, and by how many bits those are shifted in them."""

_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
"""Stands for IPv4 addresses as each network likes (RFC 8215)."""

Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True)
class Reply:
    """What an address answered.

    Attributes:
        status: of HTTP.
        location: where it points to, if anywhere.
        content: of status 200, else empty.
    """

    status: int
    location: str | None
    content: bytes


async def fetch(url: str, max_bytes: int, resolve: Resolve | None = None) -> bytes:
    """The content of a public address; the caller bounds the time.

    Args:
        url: ``http`` or ``https``.
        max_bytes: longer content is refused.
        resolve: a host's name and port to its IP addresses; default: the system's resolver.

    Raises:
        Refused: not such an address, not a public one, or it has nothing.
    """
    for _ in range(REDIRECTS + 1):
        parts, port = _checked(url)
        host = parts.hostname or ""
        address = await _public_address(host, port, resolve or _resolved)
        try:
            reply = await _asked(address, port, parts, max_bytes)
        except (OSError, h11.ProtocolError, asyncio.IncompleteReadError) as error:
            raise Refused(400, f"`url`: {host} does not answer ({type(error).__name__})") from None
        if reply.status == 200:
            return reply.content
        if reply.status not in MOVED or reply.location is None:
            raise Refused(400, f"`url`: {host} answers with status {reply.status}")
        url = urljoin(url, reply.location)
    raise Refused(400, f"`url`: more than {REDIRECTS} redirects")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's, and neither this machine's nor a network's
    own; also where an IPv6 address stands for an IPv4 one.
    """
    try:
        place = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(place, ipaddress.IPv6Address):
        if place.ipv4_mapped is not None:
            place = place.ipv4_mapped
        else:
            for network, shift in _V4_IN_V6:
                if place in network:
                    place = ipaddress.IPv4Address((int(place) >> shift) & 0xFFFFFFFF)
                    break
    local = isinstance(place, ipaddress.IPv6Address) and place in _LOCAL_NAT64
    return place.is_global and not (place.is_multicast or place.is_reserved or local)


def _checked(url: str) -> tuple[SplitResult, int]:
    """An address in parts, and its port."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        (parts.hostname or "").encode("idna")
        f"{parts.path}?{parts.query}".encode("ascii")
    except (KeyError, ValueError):
        raise Refused(400, "`url`: must be an address such as https://host/photo.jpg") from None
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise Refused(400, "`url`: must name a host, and no user")
    return parts, port


async def _resolved(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def _public_address(host: str, port: int, resolve: Resolve) -> str:
    try:
        addresses = await resolve(host, port)
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        raise Refused(400, f"`url`: {host!r:.80} has no address")
    if not all(is_public(address) for address in addresses):
        raise Refused(403, f"`url`: {host!r:.80} is not a public address")
    return addresses[0]


async def _asked(address: str, port: int, parts: SplitResult, max_bytes: int) -> Reply:
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        address,
        port,
        ssl=ssl.create_default_context() if secure else None,
        server_hostname=parts.hostname if secure else None,
    )
    try:
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(
            method="GET",
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            headers=[
                ("Host", _host_header(parts)),
                ("User-Agent", "latent-saliency"),
                ("Accept", "image/*"),
                ("Connection", "close"),
            ],
        )
        writer.write(connection.send(request) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return await _reply(connection, reader, max_bytes)
    finally:
        writer.transport.abort()  # nothing that is still to come is of interest


def _host_header(parts: SplitResult) -> str:
    host = (parts.hostname or "").encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"


async def _reply(connection: h11.Connection, reader: asyncio.StreamReader, max_bytes: int) -> Reply:
    status, location, content = 0, None, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(PART))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = dict(event.headers)
            location = headers[b"location"].decode("latin-1") if b"location" in headers else None
            if status != 200:
                return Reply(status, location, b"")
        elif isinstance(event, h11.Data):
            content += event.data
            if len(content) > max_bytes:
                raise Refused(413, f"`url`: more than {max_bytes / 1e6:g} MB there")
        elif isinstance(event, h11.EndOfMessage):
            return Reply(status, location, bytes(content))
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError
