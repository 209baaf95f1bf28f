"""Damaged and hostile artifacts: one clear line, little memory, nothing run."""

import io
import json
import math
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from planted import planted_direction
from safetensors.torch import load_file, save_file

from data.downloads.unpack import unpack
from data.store.bounds import check_archive
from data.store.files import load_tensors, load_torch, read_json, read_record
from data.store.pairs import SCHEMA, PairFolder, encode_png
from data.store.pseudo_labels import read_labels
from directions.direction import load_direction
from directions.generators import load_generator
from directions.generators.classes import parse_classes
from directions.generators.families.compact import CompactGenerator
from directions.generators.files.store import save_generator
from directions.generators.foreign import from_torchscript
from saliency.foundation.errors import InputError, SaliencyError, SegmenterError, UsageError
from saliency.foundation.json_text import parse_json
from saliency.inference.segmenter import Segmenter
from saliency.training.from_pairs import TrainReport

NESTED = "[" * 100_000


def refused(action: object, *arguments: object, match: str) -> None:
    with pytest.raises(SaliencyError, match=match) as caught:
        action(*arguments)  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def copied(tiny_model: Path, folder: Path, **changed: object) -> Path:
    """The tiny segmenter with other values in its config."""
    folder.mkdir()
    values = json.loads((tiny_model / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "model.safetensors").write_bytes((tiny_model / "model.safetensors").read_bytes())
    return folder


@pytest.mark.parametrize(
    "size", ["128", None, math.nan, math.inf, 0, -5, 128.5, True, 20000, 10**6, 10**400, [64], {}]
)
def test_a_segmenters_size_is_a_whole_number_in_bounds(
    tiny_model: Path, tmp_path: Path, size: object
) -> None:
    folder = copied(tiny_model, tmp_path / "m", size=size)
    refused(
        Segmenter.from_pretrained, folder, match=r"m: .*size .* whole number from 32 to 1024|JSON"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"encoder": 7},
        {"decoder_channels": [16, 16, 8, 8]},
        {"decoder_channels": [16, 16, 8, 8, 10**9]},
        {"decoder_channels": "16,16,8,8,8"},
        {"provenance": []},
        {"supervision": "masks"},
        {"refine": ["none"]},
        {"prior": "magic"},
        {"colour": "blue"},
    ],
)
def test_other_impossible_values_of_a_segmenter(
    tiny_model: Path, tmp_path: Path, changed: dict[str, object]
) -> None:
    [name] = changed
    refused(Segmenter.from_pretrained, copied(tiny_model, tmp_path / "m", **changed), match=name)


@pytest.mark.parametrize(
    "encoder", ["tu-hf-hub:someone/something", "tu-hf_hub:a/b", "tu-resnet18.a1_in1k", "no", "tu-"]
)
def test_an_encoder_never_asks_the_network(
    tiny_model: Path, tmp_path: Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    folder = copied(tiny_model, tmp_path / "m", encoder=encoder)
    refused(Segmenter.from_pretrained, folder, match="unknown to segmentation-models-pytorch")


OFFLINE = """
import sys
from saliency.inference.segmenter import Segmenter
try:
    Segmenter.from_pretrained(sys.argv[1], "cpu")
except ValueError as error:
    print(error)
"""


def test_an_encoder_of_a_hub_is_refused_where_there_is_no_network_at_all(
    tiny_model: Path, tmp_path: Path
) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], check=False).returncode:
        pytest.skip("network namespaces cannot be made here")
    folder = copied(tiny_model, tmp_path / "m", encoder="tu-hf-hub:someone/something")
    told = subprocess.run(
        [unshare, "-rn", sys.executable, "-c", OFFLINE, str(folder)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "unknown to segmentation-models-pytorch" in told.stdout


@pytest.mark.parametrize("damage", ["nan", "int", "shape", "missing"])
def test_damaged_weights_of_a_segmenter(tiny_model: Path, tmp_path: Path, damage: str) -> None:
    folder = copied(tiny_model, tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    name = "segmentation_head.0.weight"
    changed = {
        "nan": weights[name] * torch.nan,
        "int": weights[name].to(torch.int32),
        "shape": weights[name][:, :1].contiguous(),
    }
    weights.pop(name)
    if damage in changed:
        weights[name] = changed[damage]
    save_file(weights, folder / "model.safetensors")
    refused(Segmenter.from_pretrained, folder, match="not a segmenter")


def test_a_network_larger_than_its_weights_is_not_built(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[torch.device] = []

    def noted(*arguments: object, **options: object) -> torch.nn.Module:
        built.append(torch.empty(0).device)
        return network(*arguments, **options)

    network = smp.Unet
    monkeypatch.setattr(smp, "Unet", noted)
    folder = copied(tiny_model, tmp_path / "m", decoder_channels=[1024] * 5)
    refused(Segmenter.from_pretrained, folder, match=r"tensor decoder\S+ is \(16, .*, not \(1024, ")
    assert {device.type for device in built} == {"meta"}


def test_an_encoder_of_which_no_u_net_is_made(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path / "m", encoder="tu-nest_small_jx")
    refused(Segmenter.from_pretrained, folder, match="makes no U-Net")


@pytest.mark.parametrize("content", ["[]", "{}", "null", "3", '{"colour": 1}'])
def test_records_of_another_version(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    refused(
        read_record, path, lambda found: TrainReport(**found), match=r"report\.json: damaged, or of"
    )


def test_a_safetensors_file_of_a_million_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = "{" + ",".join(entry % index for index in range(100_001)) + "}"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    refused(load_tensors, path, match="100,001 tensors; at most")
    path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    refused(load_tensors, path, match="not a safetensors file")


def test_a_class_list_without_end(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("0-999\n" * 200_000)
    refused(parse_classes, str(path), 1000, match="too long for a list")
    path.write_text("0-999\n" * 10_000)
    assert parse_classes(str(path), 1000) == tuple(range(1000))


def test_a_zip_file_with_names_that_no_system_takes(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for name in ("a" * 300, "a/" * 1000 + "b"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"")
        refused(unpack, path, tmp_path, match="has too long a name")


def test_json_nested_without_end_is_refused_by_every_reader(
    tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "deep.json"
    path.write_text(NESTED)
    refused(read_json, path, match=r"deep\.json: not a JSON file that is read \(nested")
    refused(parse_json, NESTED, "x", match="nested too deeply")
    refused(parse_json, "[1,", "x", match="x: not a JSON file")
    refused(parse_json, b"\xff\xfe", "x", match="x: not a JSON file")
    folder = copied(tiny_model, tmp_path / "m")
    (folder / "config.json").write_text(NESTED)
    refused(Segmenter.from_pretrained, folder, match="nested too deeply")
    save_file(
        {"direction": torch.ones(3)},
        tmp_path / "d.safetensors",
        {"format": "saliency-direction", "direction": NESTED},
    )
    refused(load_direction, tmp_path / "d.safetensors", match="nested too deeply")


def test_archives_that_unpack_to_much_more_than_they_are(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", b"")
        archive.writestr("bomb/code/__torch__.py", b"\0" * (80 << 20))
    assert path.stat().st_size < 1 << 20
    for reader in (check_archive, load_torch, from_torchscript, load_generator):
        refused(reader, path, match=r"bomb\.pt: would unpack to 83,")
    plain = tmp_path / "plain.pt"
    torch.save({"a": torch.zeros(10)}, plain)
    check_archive(plain)
    assert load_torch(plain)["a"].shape == (10,)


def direction_file(path: Path, vector: torch.Tensor | None = None, **changed: object) -> Path:
    described: dict[str, object] = {
        "magnitude": 6.0,
        "mask_rule": "intensity",
        "threshold": 0.95,
        "score": 0.9,
        "generator": "planted",
        "fingerprint": "ab",
        "provenance": {},
    }
    vector = planted_direction() if vector is None else vector
    metadata = {"format": "saliency-direction", "direction": json.dumps(described | changed)}
    save_file({"direction": vector.contiguous()}, path, metadata)
    return path


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"magnitude": "6"}, "magnitude '6'"),
        ({"magnitude": None}, "magnitude None"),
        ({"magnitude": math.inf}, "magnitude inf"),
        ({"mask_rule": "sky"}, "mask rule 'sky'"),
        ({"mask_rule": ["intensity"]}, "mask rule"),
        ({"provenance": 3}, "provenance 3"),
        ({"fingerprint": 3}, "fingerprint 3"),
        ({"colour": 1}, "its metadata must be of"),
        ({"vector": torch.ones(2, 4)}, r"\(2, 4\)"),
        ({"vector": torch.ones(4, dtype=torch.int64)}, "int64"),
        ({"vector": torch.full((4,), torch.nan)}, "not finite"),
        ({"vector": torch.zeros(4)}, "zero"),
    ],
)
def test_damaged_directions(tmp_path: Path, changed: dict[str, object], match: str) -> None:
    path = direction_file(tmp_path / "d.safetensors", **changed)  # type: ignore[arg-type]
    refused(load_direction, path, match=rf"d\.safetensors: damaged direction file .*{match}")


def test_a_direction_of_another_length_is_refused(tmp_path: Path) -> None:
    direction = load_direction(direction_file(tmp_path / "d.safetensors", torch.ones(5)))
    refused(direction.check_generator, load_generator("compact"), match="has 5 numbers; latents of")


def shard(folder: Path, schema: pa.Schema = SCHEMA, **changed: object) -> PairFolder:
    row: dict[str, object] = {
        "image": {"bytes": encode_png(np.zeros((8, 8, 3), np.uint8)), "path": None},
        "mask": {"bytes": encode_png(np.zeros((8, 8), np.uint8)), "path": None},
        "sample": 0,
        "seed": 0,
        "area": 0.1,
        "border": 0.0,
    }
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist([row, row | changed], schema)
    pq.write_table(table, folder / "pairs-00000.parquet")
    return PairFolder(folder)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> dict[str, object]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return {"bytes": buffer.getvalue(), "path": None}


def huge_png() -> dict[str, object]:
    """13,000 x 13,000 in half a megabyte."""
    buffer = io.BytesIO()
    Image.new("L", (13_000, 13_000)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"image": {"bytes": b"GIF89a", "path": None}}, "image"),
        ({"image": None}, "nothing in image"),
        ({"image": {"bytes": None, "path": None}}, "image: absent"),
        ({"image": {"bytes": b"", "path": None}}, "image"),
        ({"image": encoded(np.zeros((8, 8), np.uint8))}, r"image \(8, 8\)"),
        ({"mask": encoded(np.zeros((8, 8, 3), np.uint8))}, r"mask \(8, 8, 3\)"),
        ({"mask": encoded(np.zeros((8, 9), np.uint8))}, r"mask \(8, 9\)"),
        ({"mask": huge_png()}, "13000x13000 pixels; at most"),
        ({"sample": None}, "nothing in sample"),
    ],
)
def test_damaged_rows_name_their_shard_and_row(
    tmp_path: Path, changed: dict[str, object], match: str
) -> None:
    pairs = shard(tmp_path / "pairs", **changed)
    assert pairs[0].image.shape == (8, 8, 3)
    with pytest.raises(InputError, match=rf"pairs-00000\.parquet: row 1.*{match}"):
        pairs[1]


def test_shards_of_other_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"parquet: damaged shard \(seed is string, not int64"):
        shard_of_text(tmp_path / "pairs")
    path = tmp_path / "labels-00000.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    refused(read_labels, path, match=r"labels-00000\.parquet: damaged shard")


def shard_of_text(folder: Path) -> PairFolder:
    folder.mkdir()
    columns = {name: ["x"] if name == "seed" else [None] for name in SCHEMA.names}
    fields = [pa.field("seed", pa.string()) if f.name == "seed" else f for f in SCHEMA]
    table = pa.Table.from_pydict(columns, pa.schema(fields))
    pq.write_table(table, folder / "pairs-00000.parquet")
    return PairFolder(folder)


@pytest.mark.parametrize("value", [math.inf, math.nan, 10**9, -1, "64", None, 64.5, True])
def test_a_generators_impossible_numbers(tmp_path: Path, value: object) -> None:
    network = CompactGenerator(latent_dim=8, resolution=16, width=4)
    path = tmp_path / "g.safetensors"
    save_generator(path, "compact", network, network.config() | {"resolution": value}, {})
    refused(load_generator, path, match=r"g\.safetensors: damaged generator file|JSON")


def test_a_generators_weights_that_are_no_numbers(tmp_path: Path) -> None:
    network = CompactGenerator(latent_dim=8, resolution=16, width=4)
    name, weight = next(iter(network.named_parameters()))
    weight.data.view(-1)[0] = torch.nan
    path = tmp_path / "g.safetensors"
    save_generator(path, "compact", network, network.config(), {})
    refused(load_generator, path, match=f"its tensor {name} is not finite")


class Half(torch.nn.Module):
    """A little generator in half precision."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 3 * 8 * 8)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(z)).view(-1, 3, 8, 8)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_generators_of_any_floating_type_become_float32(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "half.pt"
    torch.jit.script(Half().to(kind)).save(path)
    generator = load_generator(str(path))
    latents = generator.sample(2, torch.Generator().manual_seed(0))
    assert generator.generate(latents).dtype == torch.float32
    assert {p.dtype for p in generator.network.parameters()} == {torch.float32}


def test_unknown_settings_are_refused_in_the_products_own_words() -> None:
    from saliency.training.settings import TrainConfig

    with pytest.raises(UsageError, match="`size` 33: "):
        TrainConfig(size=33)
    with pytest.raises(UsageError, match="colour: unknown; valid: "):
        TrainConfig(colour="blue")  # type: ignore[call-arg]
    assert isinstance(UsageError("x"), ValueError)
    assert isinstance(SegmenterError("x"), SaliencyError)
    assert UsageError("`label_size` 33: no").for_command_line() == "--label-size 33: no"
