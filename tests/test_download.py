"""Downloading and unpacking: cut connections, wrong checksums and malicious archives."""

import hashlib
import io
import json
import stat
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.benchmarks.fetching import fetch
from data.benchmarks.folders import find_pairs
from data.benchmarks.published import PUBLISHED, Archive, Published
from data.downloads.download import download
from data.downloads.unpack import unpack
from saliency.cli import main
from saliency.foundation.errors import InputError

CONTENT = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Files on 127.0.0.1, and how badly they are served."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/file.zip": CONTENT}
        self.cut_after: int | None = None
        self.cuts = 0
        self.ranges = True
        self.wrong_range = False
        self.statuses: list[int] = []
        self.requests: list[str | None] = []
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.requests.append(wanted)
        if self.statuses and (status := self.statuses.pop(0)):
            handler.send_error(status)
            return
        if handler.path not in self.files:
            handler.send_error(404)
            return
        content = self.files[handler.path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(content) > 0 and wanted:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if wanted and self.ranges else 200)
        if wanted and self.ranges:
            sent = start + 1 if self.wrong_range else start
            handler.send_header("Content-Range", f"bytes {sent}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        part = content[start:]
        if self.cuts and self.cut_after is not None:
            self.cuts -= 1
            part = part[: self.cut_after]
        handler.wfile.write(part)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{listener.server_port}/file.zip"
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield state
    listener.shutdown()
    listener.server_close()


def get(server: Server, path: Path, **options: Any) -> str:
    return download(server.url, path, **{"pause": 0, "progress": False} | options)


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file.zip"
    assert get(server, path, sha256=DIGEST, progress=True) == DIGEST
    assert "file.zip" in capsys.readouterr().err
    assert path.read_bytes() == CONTENT
    assert only(tmp_path) == ["file.zip"]
    assert get(server, path, sha256=DIGEST) == DIGEST
    assert server.requests == [None]  # the second time only checks


def test_cut_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.cuts = 40_000, 7  # more cuts than attempts: each brought something
    assert get(server, tmp_path / "file.zip") == DIGEST
    assert server.requests == [None, *(f"bytes={40_000 * n}-" for n in range(1, 8))]


def test_a_later_run_goes_on(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    server.cut_after, server.cuts = 100_000, 1
    server.statuses = [0, 503, 503]
    with pytest.raises(InputError, match=r"503; 2 attempts.*put it at .*file\.zip") as caught:
        get(server, path, attempts=2)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    assert get(server, path) == DIGEST
    assert server.requests[-1] == "bytes=100000-"


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cut_after, server.cuts = False, 50_000, 2
    assert get(server, tmp_path / "file.zip") == DIGEST
    assert only(tmp_path) == ["file.zip"]
    server.cuts = 1000
    with pytest.raises(InputError, match="connection cut at 50,000 of 300,000"):
        get(server, tmp_path / "again.zip", attempts=3)  # the same cut each time: given up
    assert len(server.requests) < 12


def test_a_part_that_is_not_of_this_file_is_dropped(server: Server, tmp_path: Path) -> None:
    part = tmp_path / ".file.zip.part"
    part.write_bytes(CONTENT + b"more")  # longer than the file
    assert get(server, tmp_path / "file.zip") == DIGEST
    (tmp_path / "file.zip").rename(part)  # whole, but never renamed
    assert get(server, tmp_path / "file.zip") == DIGEST
    assert server.requests[-1] == "bytes=300000-"
    (tmp_path / "file.zip").unlink()
    part.write_bytes(CONTENT[:10])
    server.wrong_range = True
    assert get(server, tmp_path / "file.zip") == DIGEST  # from the start


def test_wrong_checksums(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    with pytest.raises(InputError, match=f"SHA-256 is {DIGEST}, must be 0000.*it was removed"):
        get(server, path, sha256="0" * 64)
    assert only(tmp_path) == []
    path.write_bytes(b"put here by hand")
    with pytest.raises(InputError, match="remove it and try again"):
        get(server, path, sha256=DIGEST)
    assert path.read_bytes() == b"put here by hand"


def test_no_such_file_and_no_server(server: Server, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(InputError, match=r"404.*put it at .*file\.zip"):
        get(server, tmp_path / "file.zip")
    assert len(server.requests) == 1  # asking again would not help
    with pytest.raises(InputError, match=r"cannot be downloaded.*refused.*2 attempts"):
        download("http://127.0.0.1:9/f.zip", tmp_path / "f.zip", attempts=2, pause=0)


def zipped(members: dict[Any, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file; keys are names or ZipInfos."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("/etc/evil", "absolute path"),
        ("C:/evil", "absolute path"),
        ("../evil", "leads out"),
        ("images/../../evil", "leads out"),
        ("images\\..\\..\\evil", "leads out"),
        (link("images/link"), "a link"),
        ("images/1.JPG", "appears twice"),
    ],
)
def test_unsafe_members_are_refused_before_anything_is_written(
    tmp_path: Path, member: Any, reason: str
) -> None:
    archive, folder = tmp_path / "bad.zip", tmp_path / "target"
    folder.mkdir()
    archive.write_bytes(zipped({"images/1.jpg": b"good", member: b"/etc/passwd"}))
    with pytest.raises(InputError, match=reason):
        unpack(archive, folder)
    assert only(folder) == []
    assert only(tmp_path) == ["bad.zip", "target"]


def test_bombs_and_crowds_are_refused(tmp_path: Path) -> None:
    archive, folder = tmp_path / "bomb.zip", tmp_path / "target"
    folder.mkdir()
    archive.write_bytes(zipped({"zeros": bytes(5_000_000)}))
    with pytest.raises(InputError, match="5,000,000 bytes"):
        unpack(archive, folder, max_bytes=1_000_000)
    with pytest.raises(InputError, match="at most 0 files"):
        unpack(archive, folder, max_files=0)
    # A header that lies about the size: no more than it says is ever written.
    content = archive.read_bytes().replace((5_000_000).to_bytes(4, "little"), bytes([9, 0, 0, 0]))
    archive.write_bytes(content)
    with pytest.raises(InputError, match="not a zip file that can be read"):
        unpack(archive, folder)
    assert only(folder) == []


def test_damaged_archives_leave_nothing(tmp_path: Path) -> None:
    archive, folder = tmp_path / "a.zip", tmp_path / "target"
    folder.mkdir()
    whole = zipped({"images/1.jpg": CONTENT[:5000], "images/2.jpg": CONTENT}, zipfile.ZIP_STORED)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (b"", b"<html>moved</html>", whole[:-100], bytes(flipped)):
        archive.write_bytes(content)
        with pytest.raises(InputError, match="not a zip file that can be read"):
            unpack(archive, folder)
        assert only(folder) == []


def test_links_in_the_target_lead_nowhere(tmp_path: Path) -> None:
    archive, folder, outside = tmp_path / "a.zip", tmp_path / "target", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "images").symlink_to(outside)
    archive.write_bytes(zipped({"images/1.jpg": b"x"}))
    with pytest.raises(InputError, match="is a link out of"):
        unpack(archive, folder)
    assert only(outside) == []


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def published(server: Server) -> Published:
    """A benchmark of three pairs in two archives, with what finders leave in them."""
    names = [f"{number:04}" for number in range(3)]
    server.files = {
        "/images.zip": zipped({f"images/{name}.png": png(90) for name in names}),
        "/masks.zip": zipped(
            {f"masks/{name}.png": png(255) for name in names}
            | {"__MACOSX/masks/._0000.png": b"junk", "masks/.DS_Store": b"junk", "masks/": b""}
        ),
    }
    base = server.url.removesuffix("/file.zip")
    archives = tuple(Archive(base + name) for name in server.files)
    return Published("tiny", "Tiny", 3, archives, ".", base, "Take it.")


def test_fetching_is_done_once_and_recorded(
    published: Published, server: Server, tmp_path: Path
) -> None:
    fetched = fetch(published, tmp_path / "to", progress=False)
    assert len(find_pairs(fetched.folder)) == fetched.photos == 3
    record = json.loads((tmp_path / "to" / "download.json").read_text())
    for name, digest in fetched.sha256.items():
        content = server.files[f"/{name}"]
        assert record[name]["sha256"] == digest == hashlib.sha256(content).hexdigest()
        assert record[name]["bytes"] == len(content)
        assert record[name]["pinned"] is False
    assert only(tmp_path / "to") == ["download.json", "images", "images.zip", "masks", "masks.zip"]
    (tmp_path / "to" / "masks.zip").unlink()  # to save space
    assert fetch(published, tmp_path / "to", progress=False) == fetched
    assert len(server.requests) == 2


def test_what_was_recorded_is_what_is_expected(published: Published, tmp_path: Path) -> None:
    fetch(published, tmp_path, progress=False)
    (tmp_path / "images.zip").write_bytes(zipped({"images/0000.png": png(1)}))
    with pytest.raises(InputError, match=r"images\.zip: SHA-256 is"):
        fetch(published, tmp_path, progress=False)


def test_files_put_there_by_hand_need_no_network(
    published: Published, server: Server, tmp_path: Path
) -> None:
    for name, content in server.files.items():
        (tmp_path / name[1:]).write_bytes(content)
    assert fetch(published, tmp_path, progress=False).photos == 3
    assert server.requests == []


def test_a_pinned_checksum_and_a_wrong_number_of_pairs(
    published: Published, server: Server, tmp_path: Path
) -> None:
    archives = (replace(published.archives[0], sha256="1" * 64), published.archives[1])
    with pytest.raises(InputError, match="must be 1111"):
        fetch(replace(published, archives=archives), tmp_path, progress=False)
    assert only(tmp_path) == []
    with pytest.raises(InputError, match="3 pairs of photo and mask, 4 were expected"):
        fetch(replace(published, photos=4), tmp_path, progress=False)


def test_what_the_authors_replaced_is_removed(
    published: Published, server: Server, tmp_path: Path
) -> None:
    masks = {"masks/0000.jpg": png(255), "masks/0000.png": png(0), "masks/0001.png": png(255)}
    server.files["/masks.zip"] = zipped(masks | {"masks/0002.png": png(255)})
    with pytest.raises(InputError, match="more than one file of the same name: 0000"):
        fetch(published, tmp_path / "a", progress=False)
    # 0001 has no twin, so it stays although it is named.
    superseded = ("masks/0000.png", "masks/0001.png", "masks/0009.png")
    fetched = fetch(replace(published, superseded=superseded), tmp_path / "b", progress=False)
    assert only(fetched.folder / "masks") == ["0000.jpg", "0001.png", "0002.png"]


def test_published_addresses_and_terms() -> None:
    for name, each in PUBLISHED.items():
        assert each.name == name
        assert all(archive.url.startswith("https://") for archive in each.archives)
        assert all(archive.name.endswith(".zip") for archive in each.archives)
        assert all(len(archive.sha256 or "0" * 64) == 64 for archive in each.archives)
        assert "Cite: " in each.notice
        assert "terms on the homepage" in each.notice
    masks = {path.rsplit("/", 1)[0] for each in PUBLISHED.values() for path in each.superseded}
    assert masks == {"DUTS-TE/DUTS-TE-Mask", "DUTS-TR/DUTS-TR-Mask"}


def test_the_command(
    published: Published,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["data", "list"]) == 0
    text = capsys.readouterr().out
    for name, each in PUBLISHED.items():
        assert name in text
        assert all(archive.url in text for archive in each.archives)
    assert main(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ecssd"]["photos"] == 1000
    monkeypatch.setitem(PUBLISHED, "ecssd", published)
    assert main(["data", "fetch", "ecssd", "--to", str(tmp_path), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["photos"] == 3
    assert shown.err.startswith("Tiny: Take it.")  # the terms, before anything else
    server.files.clear()
    assert main(["data", "fetch", "ecssd", "--to", str(tmp_path / "other")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("saliency: error: http://127.0.0.1")
    assert str(tmp_path / "other" / "images.zip") in error


def test_of_two_that_fetch_the_same_file_the_second_waits(server: Server, tmp_path: Path) -> None:
    server.files["/file.zip"] = CONTENT * 20
    path, digests = tmp_path / "file.zip", []
    threads = [threading.Thread(target=lambda: digests.append(get(server, path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert digests == [hashlib.sha256(CONTENT * 20).hexdigest()] * 4
    assert server.requests == [None]
    assert only(tmp_path) == ["file.zip"]
