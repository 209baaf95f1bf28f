"""Safe writing, folders that remember their configuration, and configs that explain themselves."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from data.config import StageConfig
from data.store.files import (
    claim_folder,
    load_tensors,
    load_torch,
    read_json,
    replacing,
    save_tensors,
    save_torch,
    write_json,
)
from saliency.foundation.errors import InputError, OutputConflictError, SaliencyError, UsageError


class Boom(Exception):
    pass


def test_replacing_leaves_the_old_file_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(Boom), replacing(path) as temporary:
        temporary.write_text("half")
        raise Boom
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_replacing_writes_the_new_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.png"
    with replacing(path) as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == path.parent
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file.png"]


def test_replacing_gives_the_permissions_that_open_would_give(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "replaced") as temporary:
        temporary.write_text("")
    assert (tmp_path / "replaced").stat().st_mode == (tmp_path / "plain").stat().st_mode


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, {"key": value})
    assert read_json(path) == {"key": value}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.json"):
        read_json(path)


def test_claim_accepts_the_same_settings(tmp_path: Path) -> None:
    settings = {"seed": 1, "areas": (0.1, 0.5), "name": None}
    for _ in range(2):  # tuples become lists in JSON; that is no difference
        assert claim_folder(tmp_path / "out", "synth", settings) == tmp_path / "out"
    (tmp_path / "out" / "result").write_text("x")
    claim_folder(tmp_path / "out", "synth", settings)


def test_claim_refuses_other_settings_naming_the_difference(tmp_path: Path) -> None:
    claim_folder(tmp_path, "synth", {"seed": 1, "count": 5})
    with pytest.raises(OutputConflictError, match="seed 1, not 2") as caught:
        claim_folder(tmp_path, "synth", {"seed": 2, "count": 5})
    assert "count" not in str(caught.value)
    with pytest.raises(OutputConflictError, match="'synth', not 'train'"):
        claim_folder(tmp_path, "train", {"seed": 1, "count": 5})


def test_claim_refuses_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputConflictError, match="not empty"):
        claim_folder(tmp_path, "synth", {})
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_claim_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputConflictError, match="is a file"):
        claim_folder(tmp_path / "out", "synth", {})


@pytest.mark.parametrize("content", ["[]", "null", '"text"', '{"settings": 3, "stage": "synth"}'])
def test_claim_refuses_a_folder_with_a_foreign_run_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(SaliencyError):
        claim_folder(tmp_path, "synth", {"seed": 1})


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.target),))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("legacy", [True, False])
def test_load_torch_does_not_run_a_malicious_pickle(tmp_path: Path, legacy: bool) -> None:
    path, target = tmp_path / "evil.pt", tmp_path / "owned"
    if legacy:
        path.write_bytes(pickle.dumps(Evil(target)))
    else:
        torch.save({"state": Evil(target)}, path)
    with pytest.raises(InputError) as caught:
        load_torch(path)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_load_torch_round_trip_and_every_truncation(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    state = {"weights": {"w": torch.arange(100.0)}, "step": 3, "best": {"iou": 0.5, "none": None}}
    save_torch(path, state)
    loaded = load_torch(path)
    assert torch.equal(loaded["weights"]["w"], state["weights"]["w"])
    assert (loaded["step"], loaded["best"]) == (3, {"iou": 0.5, "none": None})
    content = path.read_bytes()
    for length in (0, 1, 10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:length])
        with pytest.raises(InputError) as caught:
            load_torch(path)
        assert "\n" not in str(caught.value)


def test_load_torch_of_text(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_text("hello, world\n" * 10)
    with pytest.raises(InputError):
        load_torch(path)


def test_tensors_round_trip_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_tensors(path, {"a": torch.arange(6.0)}, {"note": "é"})
    tensors, metadata = load_tensors(path)
    assert torch.equal(tensors["a"], torch.arange(6.0))
    assert metadata == {"note": "é"}
    content = path.read_bytes()
    for length in (0, 4, 20, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="not a safetensors file"):
            load_tensors(path)
    with pytest.raises(InputError, match="no such file"):
        load_tensors(tmp_path / "absent.safetensors")


class Stage(StageConfig):
    """Some options."""

    count: int = Field(4, ge=1, description="how many")
    rule: Literal["red", "green"] = Field("red", description="which")
    min_area: float = Field(0.1, gt=0, lt=1, description="how large")
    workers: int = Field(1, description="x", json_schema_extra={"runtime": True})


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="colour: unknown; valid: count, rule, min_area, workers"):
        Stage.build({"colour": 1})


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"rule": "blue"}, ["--rule blue", "'red' or 'green'"]),
        ({"count": 0}, ["--count 0", "1"]),
        ({"count": "many"}, ["--count many", "integer"]),
        ({"min_area": float("nan")}, ["--min-area"]),
        ({"rule": "blue", "count": 0}, ["--rule blue", "--count 0"]),
    ],
)
def test_an_impossible_value_says_what_is_valid(values: dict[str, object], parts: list) -> None:
    with pytest.raises(UsageError) as caught:
        Stage.build(values, "settings")
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in caught.value.for_command_line()


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "stage.toml"
    path.write_text('rule = "green"\nmin-area = 0.2\n')
    assert Stage.build(Stage.read_toml(path)) == Stage(rule="green", min_area=0.2)
    path.write_text("colour = 3")
    with pytest.raises(UsageError, match="unknown colour; valid: count"):
        Stage.read_toml(path)
    path.write_text("rule = ")
    with pytest.raises(UsageError, match="not TOML"):
        Stage.read_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not TOML"):
        Stage.read_toml(path)
    with pytest.raises(UsageError, match="no such file"):
        Stage.read_toml(tmp_path / "absent.toml")


def test_runtime_fields_stay_out_of_the_settings() -> None:
    assert Stage(workers=1).settings() == Stage(workers=7).settings()
    assert Stage().settings() == {"count": 4, "rule": "red", "min_area": 0.1}


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="`count` 3: a config is not changed"):
        Stage().count = 3  # type: ignore[misc]


def test_the_same_tensors_and_metadata_give_the_same_bytes(tmp_path: Path) -> None:
    program = """
import sys
import torch
from data.store.files import save_tensors
notes = {f"key {n}": "wörter" for n in range(20)}
save_tensors(sys.argv[1], {"b": torch.ones(3), "a": torch.zeros(2, 2)}, notes)
"""
    contents = set()
    for number in range(3):
        path = tmp_path / f"{number}.safetensors"
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    tensors, metadata = load_tensors(path)
    assert list(metadata.values()) == ["wörter"] * 20
    assert tensors["b"].tolist() == [1, 1, 1]
