"""Photos fetched by address: only from public ones, whatever names and redirects say."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

pytest.importorskip("h11")
pytest.importorskip("starlette")

from saliency.serving import urls
from saliency.serving.limits import Refused

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::", "::127.0.0.1", "nonsense"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not urls.is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_addresses_that_are(address: str) -> None:
    assert urls.is_public(address)


class Place(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(f"{self.headers['Host']}{self.path}")
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nphoto\r\n0\r\n\r\n")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(10_000))
            except OSError:
                return
        else:
            known = self.path == "/photo"
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", "5" if known else "0")
            self.end_headers()
            self.wfile.write(b"photo" if known else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server on this machine, which for the test counts as the only public one."""
    monkeypatch.setattr(urls, "is_public", lambda address: address == "127.0.0.1")
    Place.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Place) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def fetched(url: str, resolve: urls.Resolve | None = None) -> bytes:
    return asyncio.run(urls.fetch(url, 100_000, resolve))


def refused(url: str, resolve: urls.Resolve | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        fetched(url, resolve)
    return caught.value


async def local(host: str, port: int) -> list[str]:
    return ["10.0.0.1"] if host == "inside.example" else ["127.0.0.1"]


def test_a_photo_is_fetched_from_the_address_that_was_checked(port: int) -> None:
    asked: ClassVar[list[str]] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    assert fetched(f"http://photos.example:{port}/photo", rebinding) == b"photo"
    assert asked == ["photos.example"]  # once: what the name means later changes nothing
    assert Place.asked == [f"photos.example:{port}/photo"]
    assert fetched(f"http://photos.example:{port}/chunks", local) == b"photo"


def test_redirects_are_followed_and_checked(port: int) -> None:
    base = f"http://photos.example:{port}"
    assert fetched(f"{base}/to?/photo", local) == b"photo"
    assert fetched(f"{base}/to?http://other.example:{port}/photo", local) == b"photo"
    assert refused(f"{base}/to?http://inside.example/secret", local).status == 403
    assert refused(f"{base}/to?file:///etc/passwd", local).status == 400
    around = f"{base}/to?" + "/to?" * urls.REDIRECTS + "/photo"
    assert "redirects" in refused(around, local).message


def test_addresses_that_give_no_photo(port: int) -> None:
    base = f"http://photos.example:{port}"
    assert "404" in refused(f"{base}/nothing", local).message
    assert refused(f"{base}/endless", local).status == 413
    assert refused("http://photos.example:1/photo", local).status == 400


@pytest.mark.parametrize(
    "url",
    [
        *("photo.jpg", "ftp://host/x", "file:///etc/passwd", "http://", "http://user:word@host/x"),
        *("http://host:99999/", "http://host/ä", "http://[::1", f"http://{'x' * 70}.example/"),
        *("//host/x", "javascript:alert(1)"),
    ],
)
def test_what_is_no_address(url: str) -> None:
    assert refused(url, local).status == 400


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "http://localhost/x", "http://[::1]/x", "http://2130706433/x"]
)
def test_this_machine_is_refused_by_the_system_s_own_resolver(url: str) -> None:
    assert refused(url).status in (400, 403)


def test_one_private_address_among_public_ones_is_enough() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        return [PUBLIC, "192.168.0.1"]

    assert refused("http://photos.example/x", mixed).status == 403
