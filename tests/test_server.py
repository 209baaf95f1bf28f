"""The server as its clients see it: cut-outs, refusals, and nothing that a photo can break."""

import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from readers import gradient, huge_png

pytest.importorskip("starlette")
pytest.importorskip("python_multipart")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient

from saliency.inference.segmenter import Segmenter
from saliency.serving.app import make_app, make_pool
from saliency.serving.options import RemoveOptions
from saliency.serving.settings import ServeSettings


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


PIXELS = np.dstack([gradient(24, 32), np.full((24, 32), 255, np.uint8)])
PIXELS[:, :4, 3] = 0  # alpha is 0 there whatever a network of random weights finds
PHOTO = png(PIXELS)


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[TestClient]:
    settings = ServeSettings.build(
        {"model": str(tiny_model), "workers": 1, "device": "cpu", "max_megabytes": 3}
        | {"max_megapixels": 2}
    )
    with TestClient(make_app(settings, make_pool(settings))) as client:
        yield client


def test_a_form_and_a_raw_body_give_the_same_cut_out(client: TestClient) -> None:
    form = client.post("/api/remove", files={"file": ("a.png", PHOTO)})
    raw = client.post("/api/remove", content=PHOTO)
    assert form.status_code == raw.status_code == 200
    assert form.content == raw.content
    assert form.headers["content-type"] == "image/png"
    assert 0 <= float(form.headers["x-confidence"]) <= 1
    assert form.headers["x-model"] == "own"
    image = opened(form.content)
    assert (image.mode, image.size) == ("RGBA", (32, 24))


def test_it_is_the_cut_out_that_the_package_makes(client: TestClient, tiny_model: Path) -> None:
    import saliency

    answer = client.post("/api/remove?edges=crisp&keep=largest", content=PHOTO)
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    expected = saliency.cut_out(PHOTO, edges="crisp", keep="largest", model=segmenter)
    assert np.array_equal(np.asarray(opened(answer.content)), np.asarray(expected))


def test_words_of_rembg(client: TestClient) -> None:
    def sent(**fields: str) -> Image.Image:
        answer = client.post("/api/remove", files={"file": PHOTO}, data=fields)
        assert answer.status_code == 200, answer.text
        return opened(answer.content)

    common = {"model": "u2net", "af": "240", "ab": "10", "ae": "10"}
    assert sent(om="true", **common).mode == "L"
    red = np.asarray(sent(bgc="255,0,0,255", **common))
    assert red.shape == (24, 32, 3)
    assert (red[:, :4] == (255, 0, 0)).all()
    assert (np.asarray(sent(bgc="255,0,0,128"))[:, :4] == (255, 0, 0, 128)).all()
    assert (np.asarray(sent(bgc="0,0,0,0"))[:, :4] == 0).all()


@pytest.mark.parametrize(
    ("fields", "edges"),
    [
        ({"a": True}, "matte"),
        ({"a": False}, "soft"),
        ({"ppm": True}, "crisp"),
        ({"a": True, "ppm": True}, "matte"),
        ({"a": True, "edges": "soft"}, "soft"),
        ({}, "matte"),
    ],
)
def test_edges_in_words_of_rembg(fields: dict, edges: str) -> None:
    assert RemoveOptions.build(fields).cut().edges == edges


def test_a_background_picture(client: TestClient) -> None:
    green = png(np.full((10, 10, 3), (0, 200, 0), np.uint8))
    answer = client.post("/api/remove", files={"file": PHOTO, "background": green})
    image = opened(answer.content)
    assert image.mode == "RGB"
    assert (np.asarray(image)[:, :4] == (0, 200, 0)).all()


def test_a_background_is_no_file_of_the_server(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PHOTO)
    path = str(tmp_path / "secret.png")
    answer = client.post("/api/remove", params={"background": path}, content=PHOTO)
    assert answer.status_code == 400
    assert "background" in answer.json()["error"]
    model = client.post("/api/remove", params={"model": str(tmp_path)}, content=PHOTO)
    assert model.status_code == 400


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("edges=jagged", "crisp"),
        ("crop=-1", "crop"),
        ("feather=many", "feather"),
        ("feather=nan", "feather"),
        ("af=300", "255"),
        ("bgc=1,2", "R,G,B,A"),
        ("bgc=1,2,3,999", "R,G,B,A"),
        ("bgc=²,1,2", "R,G,B,A"),
        ("model=nobody", "strict"),
        ("colour=red", "unknown"),
        ("quality=" + "x" * 5000, "5,000"),
    ],
)
def test_impossible_options_are_named(client: TestClient, query: str, part: str) -> None:
    answer = client.post(f"/api/remove?{query}", content=PHOTO)
    assert answer.status_code == 400
    assert part in answer.json()["error"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        PHOTO[:60],
        PHOTO[:-40],
        PHOTO[:8] + bytes(100),
        b"\xff\xd8\xff" * 50,
    ],
    ids=["empty", "text", "header", "cut off", "zeros", "jpeg"],
)
def test_bad_photos_are_the_client_s_fault(client: TestClient, content: bytes) -> None:
    assert client.post("/api/remove", content=content).status_code == 400
    assert client.post("/api/remove", files={"file": content}).status_code == 400


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"not a form"),
        ("multipart/form-data; boundary=x", b"--x\r\nno colon\r\n\r\n\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1"),
        ("multipart/form-data; boundary=" + "x" * 500, b"--x"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
    ],
)
def test_forms_that_are_none(client: TestClient, kind: str, body: bytes) -> None:
    answer = client.post("/api/remove", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_forms_with_too_much_in_them(client: TestClient) -> None:
    many = {f"x{number}": "1" for number in range(100)}
    long = {"extras": "x" * 100_000}
    files = [("file", PHOTO)] * 5
    assert client.post("/api/remove", data=many, files={"file": PHOTO}).status_code == 400
    assert client.post("/api/remove", data=long, files={"file": PHOTO}).status_code == 400
    assert client.post("/api/remove", files=files).status_code == 400
    other = client.post("/api/remove", files={"file": PHOTO, "mask": PHOTO})
    assert other.status_code == 400 and "mask" in other.json()["error"]


def test_sizes_are_bounded_before_anything_is_read_or_decoded(
    client: TestClient, tmp_path: Path
) -> None:
    declared = client.post("/api/remove", content=bytes(3_000_001))
    in_chunks = client.post("/api/remove", content=iter([bytes(1_000_000)] * 4))
    as_form = client.post("/api/remove", files={"file": bytes(3_000_001)})
    for answer in (declared, in_chunks, as_form):
        assert answer.status_code == 413
        assert "3 MB" in answer.json()["error"]
    huge = huge_png(tmp_path / "huge.png", 30_000)
    pixels = client.post("/api/remove", content=Path(huge).read_bytes())
    assert pixels.status_code == 413
    assert "2 megapixels" in pixels.json()["error"]


def test_uploads_stay_in_memory(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def rollover(self: object) -> None:
        raise AssertionError("an upload went to a file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    noise = np.random.default_rng(0).integers(0, 255, (800, 1000, 3)).astype(np.uint8)
    assert len(png(noise)) > 2_000_000
    content = png(noise)[:-100]  # it is read whole, and then refused at once
    assert client.post("/api/remove", files={"file": content}).status_code == 400


def test_addresses_are_not_fetched_unless_that_is_allowed(client: TestClient) -> None:
    answer = client.get("/api/remove", params={"url": "http://127.0.0.1/photo.jpg"})
    assert answer.status_code == 403
    assert client.get("/api/remove").status_code == 400


def test_health_metrics_and_interface(client: TestClient) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert health["workers"] == 1
    assert health["models"] == ["own", "default", "strict"]
    assert health["max_bytes"] == 3_000_000
    client.post("/api/remove", content=b"text")
    client.get("/no/such/page/17")
    text = client.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert int(lines['saliency_requests_total{path="/api/remove",status="400"}']) >= 1
    assert int(lines['saliency_requests_total{path="other",status="404"}']) == 1
    assert lines["saliency_requests_held"] == "0"
    assert lines["saliency_bytes_held"] == "0"
    assert (
        lines['saliency_photo_seconds_bucket{le="+Inf"}'] == lines["saliency_photo_seconds_count"]
    )
    document = client.get("/openapi.json").json()
    options = {each["name"] for each in document["paths"]["/api/remove"]["post"]["parameters"]}
    assert {"model", "a", "af", "ab", "ae", "om", "ppm", "bgc", "edges"} <= options
    assert "null" not in json.dumps(document)


@pytest.mark.parametrize("path", ["/", "/api"])
def test_pages_load_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    for word in ("src=", "href="):
        for target in answer.text.split(f'{word}"')[1:]:
            local = target.partition('"')[0]
            assert local.startswith("/") and not local.startswith("//")
            assert client.get(local).status_code == 200, local


def test_other_origins_get_nothing_unless_they_are_named(
    client: TestClient, tiny_model: Path
) -> None:
    origin = {"Origin": "https://shop.example"}
    assert "access-control-allow-origin" not in client.get("/health", headers=origin).headers
    settings = ServeSettings.build({"cors": ["https://shop.example"], "workers": 1})
    allowing = TestClient(make_app(settings, make_pool(settings), starts_pool=False))
    answer = allowing.get("/health", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    other = allowing.get("/health", headers={"Origin": "https://else.example"})
    assert "access-control-allow-origin" not in other.headers


def test_methods_and_pages_that_do_not_exist(client: TestClient) -> None:
    assert client.delete("/api/remove").status_code == 405
    assert client.get("/page/../app.py").status_code == 404
    assert client.get("/page/__init__.py").json() == {"error": "Not Found"}
