"""Official weights by name, from a server on 127.0.0.1: resumed, checked, then used offline."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import test_download
import torch
from biggan_layouts import BIGGAN_32, DEEP_64, filled
from test_download import Server

from directions.generators import FAMILIES, load_generator
from directions.generators.family import Weights
from directions.generators.files import official as official_module
from directions.generators.files.official import (
    checksum_of,
    converted_path,
    git_blob,
    official_path,
    official_weights,
    way_of,
)
from directions.generators.files.store import save_generator
from saliency.cli import main
from saliency.foundation.errors import InputError

server = test_download.server


def as_file(tensors: dict[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


CONTENT = as_file(filled(BIGGAN_32))
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SALIENCY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offered(server: Server, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """``tiny-biggan``, published on the server, without a checksum."""
    weights = Weights(
        name="tiny-biggan",
        config={"resolution": 32},
        url=server.url.replace("file.zip", "tiny.pth?dl=1"),
        file="tiny.pth",
        sha256=None,
        licence="Beerware",
    )
    server.files = {"/tiny.pth?dl=1": CONTENT}
    offer(monkeypatch, weights)
    return weights


def offer(monkeypatch: pytest.MonkeyPatch, *weights: Weights) -> None:
    monkeypatch.setitem(FAMILIES._things, "biggan", replace(FAMILIES["biggan"], weights=weights))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_a_name_is_fetched_once_and_then_needs_no_network(
    offered: Weights, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_generator("tiny-biggan").resolution == 32
    first_line = capsys.readouterr().err.splitlines()[0]
    assert "Beerware" in first_line and offered.url in first_line  # before anything else
    path = cache / "generators" / "tiny-biggan" / "tiny.pth"
    assert path.read_bytes() == CONTENT
    record = json.loads((path.parent / "download.json").read_text())
    expected = {"url": offered.url, "sha256": DIGEST, "bytes": len(CONTENT), "pinned": False}
    assert record == {"tiny.pth": expected}
    server.files.clear()
    assert load_generator("tiny-biggan").resolution == 32
    assert len(server.requests) == 1 and capsys.readouterr().err == ""


def test_a_cut_connection_is_resumed_by_the_same_command(
    offered: Weights, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = official_module.download

    def hurried(*arguments: Any, **options: Any) -> str:
        return patient(*arguments, **{**options, "pause": 0, "progress": False})

    monkeypatch.setattr(official_module, "download", hurried)
    server.cut_after, server.cuts = 1000, 2
    server.statuses = [0, 0, 503, 503, 503]
    with pytest.raises(InputError, match=r"tiny-biggan: http.*503.*put it at .*tiny\.pth"):
        load_generator("tiny-biggan")
    assert not official_path(offered).exists()
    assert load_generator("tiny-biggan").resolution == 32
    assert server.requests[-1] == "bytes=2000-"
    assert official_path(offered).read_bytes() == CONTENT


def test_a_file_that_changed_after_its_download_is_refused(
    offered: Weights, capsys: pytest.CaptureFixture[str]
) -> None:
    load_generator("tiny-biggan")
    path = official_path(offered)
    path.write_bytes(as_file(filled(DEEP_64)))
    with pytest.raises(InputError, match=f"not {DIGEST} as downloaded") as caught:
        load_generator("tiny-biggan")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.exists()  # it may be the user's: nothing is removed
    (path.parent / "download.json").write_text("[]")
    with pytest.raises(InputError, match="not a record"):
        load_generator("tiny-biggan")


def pinned(offered: Weights, monkeypatch: pytest.MonkeyPatch, checksum: str) -> Weights:
    kind, _, digest = checksum.partition(":")
    if kind == "sha256":
        offered = replace(offered, sha256=digest)
        offer(monkeypatch, offered)
    else:
        monkeypatch.setattr(official_module, "CHECKSUMS", {offered.name: checksum})
    return offered


def git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.mark.parametrize("kind", ["sha256", "git"])
def test_published_checksums_hold_for_downloads_and_for_files_put_there(
    kind: str, offered: Weights, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = f"sha256:{DIGEST}" if kind == "sha256" else f"git:{git_name(CONTENT)}"
    path = official_path(pinned(offered, monkeypatch, right))
    load_generator("tiny-biggan")
    assert json.loads((path.parent / "download.json").read_text())["tiny.pth"]["pinned"]
    path.unlink()
    wrong = f"{kind}:" + "0" * 40
    pinned(offered, monkeypatch, wrong)
    with pytest.raises(InputError, match=r"must be 0000.*removed; try again"):
        load_generator("tiny-biggan")
    assert not path.exists()
    path.write_bytes(CONTENT)
    with pytest.raises(InputError, match=r"not 0000.* as published"):
        load_generator("tiny-biggan")
    assert path.exists()
    pinned(offered, monkeypatch, right)
    load_generator("tiny-biggan")
    assert len(server.requests) == 2


def test_git_names_are_those_of_git(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    assert git_blob(path) == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    path.write_bytes(b"")
    assert git_blob(path) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_offline_one_line_says_which_file_to_put_where(
    offered: Weights, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    offer(monkeypatch, replace(offered, url="http://127.0.0.1:9/tiny.pth"))
    monkeypatch.setattr("time.sleep", lambda _: None)
    sheet = tmp_path / "sheet.png"
    status, _, error = run(capsys, "generator", "sample", "tiny-biggan", "--out", sheet)
    line = error.splitlines()[-1]
    path = official_path(offered)
    assert status == 1 and line.startswith("saliency: error: tiny-biggan: http://127.0.0.1:9/")
    assert f"get the file elsewhere and put it at {path}" in line
    path.write_bytes(CONTENT)
    assert run(capsys, "generator", "sample", "tiny-biggan", "--out", sheet)[0] == 0
    assert sheet.exists() and server.requests == []


def test_a_page_in_place_of_the_file_is_not_kept(offered: Weights, server: Server) -> None:
    server.files["/tiny.pth?dl=1"] = b"\n<!DOCTYPE html><html>moved</html>"
    with pytest.raises(InputError, match="a web page; it was removed"):
        load_generator("tiny-biggan")
    assert not official_path(offered).exists()


def test_another_network_under_an_official_name(
    offered: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, replace(offered, config={"resolution": 64}))
    with pytest.raises(InputError, match="is not tiny-biggan: resolution is 32, not 64"):
        load_generator("tiny-biggan")


def test_fetch_list_and_info(
    offered: Weights, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def row() -> dict[str, Any]:
        rows = json.loads(run(capsys, "generator", "list", "--json")[1])["official"]
        return next(row for row in rows if row["name"] == "tiny-biggan")

    assert (row()["here"], row()["way"]) == (False, "download")
    assert run(capsys, "generator", "info", "tiny-biggan")[0] == 0
    assert server.requests == []  # neither downloads
    status, out, error = run(capsys, "generator", "fetch", "tiny-biggan")
    assert status == 0 and DIGEST in out and "--generator tiny-biggan" in out
    assert "Beerware" in error
    assert row()["here"]
    values = json.loads(run(capsys, "generator", "fetch", "tiny-biggan", "--json")[1])
    assert values["sha256"] == DIGEST and len(server.requests) == 1
    status, _, error = run(capsys, "generator", "fetch", "nothing")
    assert status == 2 and "valid: " in error and "tiny-biggan" in error


def test_a_pickle_is_fetched_but_converted_only_on_command(
    offered: Weights, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    pickled = replace(offered, url=offered.url.replace(".pth?dl=1", ".pkl"), file="tiny.pkl")
    server.files["/tiny.pkl"] = b"\x80\x04never opened"
    offer(monkeypatch, pickled)
    with pytest.raises(InputError, match="`saliency generator fetch tiny-biggan`"):
        load_generator("tiny-biggan")
    assert server.requests == []
    status, out, _ = run(capsys, "generator", "fetch", "tiny-biggan")
    path, converted = official_path(pickled), converted_path(pickled)
    advice = f"`saliency generator convert {path} {converted}`"
    assert status == 0 and path.exists() and advice in out
    with pytest.raises(InputError) as caught:
        load_generator("tiny-biggan")
    assert advice in str(caught.value)
    source = tmp_path / "G_ema.pth"
    source.write_bytes(CONTENT)
    assert run(capsys, "generator", "convert", source, converted)[0] == 0
    assert load_generator("tiny-biggan").resolution == 32


def test_what_only_a_person_can_get(
    offered: Weights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = replace(offered, url="https://drive.google.com/open?id=1", note="in the archive there")
    offer(monkeypatch, page)
    for command in (("info",), ("fetch",)):
        assert run(capsys, "generator", *command, "tiny-biggan")[0] == (command == ("fetch",))
    with pytest.raises(InputError) as caught:
        load_generator("tiny-biggan")
    message = str(caught.value)
    assert f"put tiny.pth at {official_path(page)}" in message and "in the archive there" in message


def test_a_converted_file_goes_first(offered: Weights, server: Server) -> None:
    generator = load_generator("tiny-biggan")
    official_path(offered).write_bytes(b"spoilt")
    opened = FAMILIES["biggan"].network(**(FAMILIES["biggan"].recognise(filled(BIGGAN_32)) or {}))
    tensors, _ = FAMILIES["biggan"].translate(filled(BIGGAN_32), {})
    opened.load_state_dict(tensors)
    config = FAMILIES["biggan"].recognise(filled(BIGGAN_32)) or {}
    save_generator(converted_path(offered), "biggan", opened, config, {})
    assert load_generator("tiny-biggan").fingerprint == generator.fingerprint


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert official_module.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("SALIENCY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert official_module.cache_folder() == tmp_path / "xdg" / "latent-saliency"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert official_module.cache_folder() == tmp_path / ".cache" / "latent-saliency"


def test_every_official_name_says_how_it_comes() -> None:
    ways = {name: way_of(weights) for name, weights in official_weights(FAMILIES).items()}
    direct = {"bigbigan-128", "dcgan-cifar10", "proggan-celeba-hq-1024"}
    direct |= {f"biggan-deep-{side}" for side in (128, 256, 512)}
    assert {name for name, way in ways.items() if way == "download"} == direct
    pickles = {name for name in ways if name.startswith("stylegan2-")}
    assert {name for name, way in ways.items() if way == "convert"} == pickles
    for name, weights in official_weights(FAMILIES).items():
        if ways[name] == "by hand":
            assert weights.note
        else:
            assert weights.url.startswith("https://")
    assert set(official_module.CHECKSUMS) <= set(ways)
    kinds = {"sha256": 64, "git": 40}
    for weights in official_weights(FAMILIES).values():
        kind, _, digest = (checksum_of(weights) or "git:" + 40 * "0").partition(":")
        assert len(digest) == kinds[kind] and set(digest) <= set("0123456789abcdef")
