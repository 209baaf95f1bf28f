"""Checkpoints, pickles, archives and shards that are small and ask for much: told in one line."""

import gzip
import io
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from data.store.files import load_torch
from data.store.pairs import SCHEMA, PairFolder
from data.toml_text import read_toml
from directions.direction import load_direction, read_directions
from directions.generators import load_generator
from directions.generators.families.compact import CompactGenerator
from directions.generators.files.nvidia_pickle import convert_nvidia
from directions.generators.files.restricted_pickle import ALLOWED
from directions.generators.files.store import save_generator
from saliency.foundation.errors import InputError, UsageError
from saliency.foundation.json_text import parse_json

REBUILT = "torch_utils.persistence", "_reconstruct_persistent_obj"


def refused(read: Callable[[str], object], path: Path, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def weights() -> dict[str, Tensor]:
    return CompactGenerator(latent_dim=8, resolution=16, width=4).state_dict()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (lambda weight: torch.zeros(1).expand(50_000, 50_000), "project.weight repeats few"),
        (lambda weight: weight.to("meta"), "project.weight has no values"),
        (lambda weight: weight.to_sparse(), "project.weight is sparse"),
        (lambda weight: weight.to(torch.complex64), "project.weight is torch.complex64"),
        (lambda weight: weight.to(torch.int32), "project.weight is torch.int32, not torch.float32"),
        (lambda weight: weight.T, r"project.weight is \(8, 256\), not"),
        (lambda weight: weight * torch.inf, "project.weight is not finite"),
    ],
)
def test_tensors_that_are_no_weights(
    tmp_path: Path, changed: Callable[[Tensor], Tensor], problem: str
) -> None:
    path = tmp_path / "g.pt"
    state = weights()
    torch.save({"g_ema": state | {"project.weight": changed(state["project.weight"])}}, path)
    refused(load_generator, path, problem)


def test_tensors_that_all_show_the_same_numbers(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    numbers = torch.zeros(1000)
    torch.save({str(index): numbers.view(10, 100) for index in range(8)}, path)
    assert len(load_torch(path)) == 8
    torch.save({str(index): numbers.view(10, 100) for index in range(9)}, path)
    refused(load_torch, path, "repeat each other's numbers")


def test_dictionaries_that_lie_in_each_other_many_times(tmp_path: Path) -> None:
    path = tmp_path / "g.pt"
    state: dict[str, object] = {"x": torch.zeros(1)}
    for level in range(4):
        state = {f"{level}_{index}": state for index in range(500)}  # 500⁴ ways to x
    torch.save(state, path)
    refused(load_generator, path, "no tensors by name|of no family")


def test_a_network_whose_noise_would_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "g.pt"
    state = {
        "input.input": torch.zeros(1, 4, 4, 4),
        "style.1.weight": torch.zeros(4, 4),
        "to_rgb1.conv.weight": torch.zeros(1, 3, 4, 1, 1),
    }
    for stage in range(20):
        state[f"to_rgbs.{stage}.conv.weight"] = torch.zeros(1, 3, 4, 1, 1)
        state[f"convs.{2 * stage}.conv.weight"] = torch.zeros(1, 4, 4, 3, 3)
    torch.save(state, path)
    refused(load_generator, path, "does not fit family .stylegan2. .resolution 4194304; valid are")


@pytest.mark.parametrize(
    "widths", [None, "4,4,4", [None, 4, 4], [4.5, 4, 4], [-4, 4, 4], [10**12, 4, 4], [4] * 100, {}]
)
def test_impossible_lists_in_a_generators_config(tmp_path: Path, widths: object) -> None:
    path = tmp_path / "g.safetensors"
    config = {"latent_dim": 8, "resolution": 16, "widths": widths}
    save_generator(path, "proggan", torch.nn.Linear(2, 2), config, {})
    refused(load_generator, path, "damaged generator file .widths .*; valid are")


class Endless(torch.nn.Module):
    """Says that its latents have a billion numbers."""

    latent_dim: int

    def __init__(self) -> None:
        super().__init__()
        self.latent_dim = 10**9
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_program_with_an_endless_latent(tmp_path: Path) -> None:
    path = tmp_path / "g.pt"
    torch.jit.script(Endless()).save(str(path))
    refused(load_generator, path, "cannot tell the length of its latent")


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def module(children: bytes) -> bytes:
    """Opcodes of a persistent object with such modules in it."""
    name = "c{}\n{}\n".format(*REBUILT).encode()
    state = b"}(" + text("_modules") + children + b"u"
    return name + b"}(" + text("class_name") + text("G") + text("state") + state + b"u\x85R"


def modules_in_each_other(depth: int) -> bytes:
    """Each module twice in the next one: two to the power of ``depth`` ways to the innermost."""
    made = module(b"}") + b"q\x000"
    for level in range(1, depth):
        inner = b"h" + bytes([level - 1])
        made += module(b"}(" + text("a") + inner + text("b") + inner + b"u")
        made += b"q" + bytes([level]) + b"0"
    return made + b"}(" + text("G_ema") + b"h" + bytes([depth - 1]) + b"u."


def huge_storage() -> bytes:
    """A gigabyte of zeros where the bytes of a tensor lie."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data/0", b"\0" * (100 << 20))
    content = buffer.getvalue()
    load = b"ctorch.storage\n_load_from_bytes\n"
    return load + b"B" + struct.pack("<I", len(content)) + content + b"\x85R."


BOMBS = {
    "places in its memory": (b"\x80\x04Nr\xff\xff\xff\x7f.", "no StyleGAN2"),
    "bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.", "said to follow"),
    "text": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"x.", "said to follow"),
    "frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.", "said to follow"),
    "array of bytes": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 32) + b"x.", "asks for what"),
    "nested tuples": (b"\x80\x04N" + b"\x85" * 1_000_000 + b".", "a tuple of more than"),
    "tuples as keys": (b"\x80\x04}N" + b"\x85" * 1_000_000 + b"Ns.", "a tuple of more than"),
    "tuples of one tuple": (b"\x80\x04)" + b"2\x86" * 64 + b".", "a tuple of more than"),
    "steps": (b"\x80\x04" + b"N0" * 600_000 + b"N.", "more than 1,000,000 steps"),
    "modules": (b"\x80\x02" + modules_in_each_other(40), "repeats its parts"),
    "storage": (b"\x80\x02" + huge_storage(), "would unpack to 104,"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_small_pickles_that_ask_for_much(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "a.pkl"
    content, problem = BOMBS[bomb]
    path.write_bytes(content)
    refused(lambda path: convert_nvidia(Path(path)), path, problem)


def test_a_pickle_changes_nothing_in_what_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    builder = ALLOWED[REBUILT]
    state = b"}(" + text("__init__") + b"Nu"
    path.write_bytes(b"\x80\x02" + "c{}\n{}\n".format(*REBUILT).encode() + b"N" + state + b"\x86b.")
    before = dict(vars(builder))
    refused(lambda path: convert_nvidia(Path(path)), path, "nothing was run")
    assert dict(vars(builder)) == before


def packed_tar(path: Path, member: tarfile.TarInfo, form: int) -> Path:
    """A compressed tar file of one member, all zeros."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf(form))
        for _ in range(member.size >> 20):
            file.write(b"\0" * (1 << 20))
    return path


@pytest.mark.parametrize("kind", ["file", "header", "name"])
def test_a_tar_that_unpacks_to_much_more_than_it_is(tmp_path: Path, kind: str) -> None:
    member = tarfile.TarInfo("generator.pt")
    member.size = 200 << 20
    if kind == "header":
        member.type = tarfile.XHDTYPE
    elif kind == "name":
        member.type = tarfile.GNUTYPE_LONGNAME
    path = packed_tar(tmp_path / "a.tar.gz", member, tarfile.GNU_FORMAT)
    refused(load_generator, path, "too large" if kind == "file" else "a header of 209,715,200")


def test_a_sparse_file_in_a_tar_is_no_checkpoint(tmp_path: Path) -> None:
    holed = tmp_path / "generator.pt"
    with open(holed, "wb") as file:
        file.truncate(3 << 30)
    path = tmp_path / "a.tar"
    subprocess.run(["tar", "-Scf", path, "-C", tmp_path, holed.name], check=True)
    assert path.stat().st_size < 1 << 20
    refused(load_generator, path, "no checkpoint in this tar file")


@pytest.mark.parametrize("rows", [5000, 2_000_000])
def test_a_shard_whose_rows_are_one_value(tmp_path: Path, rows: int) -> None:
    """5,000 images of a megabyte, or millions of none, in a few kilobytes."""
    repeated = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, np.int32)), pa.array([b"\0" * (1 << 20)], pa.binary())
    )
    image = pa.StructArray.from_arrays(
        [repeated if rows < 10_000 else pa.nulls(rows, pa.binary()), pa.nulls(rows, pa.string())],
        ["bytes", "path"],
    )
    numbers = [pa.nulls(rows, SCHEMA.field(name).type) for name in SCHEMA.names[2:]]
    table = pa.Table.from_arrays([image, image, *numbers], SCHEMA.names)
    shard = tmp_path / "pairs-00000.parquet"
    pq.write_table(table, shard, store_schema=False)
    assert shard.stat().st_size < 1 << 20
    with pytest.raises(InputError, match=rf"pairs-00000\.parquet: {rows:,} rows would unpack to"):
        PairFolder(tmp_path)


def test_json_of_millions_of_lists() -> None:
    with pytest.raises(InputError, match=r"a\.json: more than 1,000,000 objects and lists"):
        parse_json("[" + "[]," * 2_000_000 + "1]", "a.json")
    deep = json.loads('{"a":' * 64 + "1" + "}" * 64)
    assert parse_json(json.dumps(deep), "a.json") == deep
    with pytest.raises(InputError, match=r"a\.json: .*nested too deeply"):
        parse_json(json.dumps([deep]), "a.json")  # it would be parsed, but not written again


@pytest.mark.parametrize(
    "content", ["a = " + "[" * 5000, ".".join("a" * 5000) + " = 1", "a = [\n" + "1,\n" * 400_000]
)
def test_toml_that_takes_much(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"a\.toml: (too long|not TOML that is read .nested)"):
        read_toml(path, str(path))


def test_a_number_that_cannot_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("size = 0x" + "9" * 10_000)
    with pytest.raises(UsageError, match=r"a\.toml: not TOML .a whole number of more than 64 bits"):
        read_toml(path, str(path))


@pytest.mark.parametrize(
    "kind", ["float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "uint16", "bool", "float64"]
)
def test_directions_of_every_kind_of_number(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "d.safetensors"
    described = {"magnitude": 6.0, "mask_rule": "intensity", "threshold": 0.9, "score": 0.9,
                 "generator": "g", "fingerprint": "ab", "provenance": {}}  # fmt: skip
    vector = torch.tensor([1.0, 0.0 if kind != "float8_e8m0fnu" else 1.0, 1.0])
    metadata = {"format": "saliency-direction", "direction": json.dumps(described)}
    save_file({"direction": vector.to(getattr(torch, kind))}, path, metadata)
    if kind in ("uint16", "bool"):
        refused(load_direction, path, "damaged direction file")
    else:
        assert torch.equal(load_direction(path).vector, vector)


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float16", "float64"])
def test_generators_of_every_floating_type(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "g.safetensors"
    network = CompactGenerator(latent_dim=8, resolution=16, width=4)
    config = network.config()
    save_generator(path, "compact", network.to(getattr(torch, kind)), config, {})
    generator = load_generator(str(path))
    images = generator.generate(generator.sample(2, torch.Generator().manual_seed(0)))
    assert images.dtype == torch.float32 and images.isfinite().all()


@pytest.mark.parametrize("rows", [None, torch.ones(3), torch.ones(2, 3).int(), torch.inf])
def test_directions_of_a_run(tmp_path: Path, rows: Tensor | float | None) -> None:
    path = tmp_path / "directions.safetensors"
    whole = torch.ones(2, 3)
    save_file({"directions": whole.double()}, path)
    assert torch.equal(read_directions(path), whole)
    damaged = rows if isinstance(rows, Tensor) else whole * (rows or 0)
    save_file({"x" if rows is None else "directions": damaged}, path)
    refused(lambda path: read_directions(Path(path)), path, "no directions|not finite")


@pytest.mark.slow
def test_hostile_files_take_little_memory() -> None:
    """All of these bombs in one process of little memory."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)); "
        "import pytest; sys.exit(pytest.main([sys.argv[1], '-q', '-p', 'no:cacheprovider', "
        "'-k', 'pickles or tar or shard']))"
    )
    ended = subprocess.run([sys.executable, "-c", script, __file__], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-2000:]
