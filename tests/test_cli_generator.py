"""`saliency generator`: list, info, sample, convert; classes and truncation in every stage."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from biggan_layouts import BIGGAN_32, DEEP_64, biggan_shapes, filled
from PIL import Image

from data.config import SamplingConfig
from data.synthesis import SynthConfig
from directions.discovery import DiscoverConfig
from directions.generators import FAMILIES, load_generator
from directions.generators.classes import class_names, parse_classes
from directions.generators.files.official import official_path, official_weights
from saliency.cli import main
from saliency.foundation.errors import UsageError
from saliency.stages.sources import as_discovered, sampled_generator


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.fixture
def biggan(tmp_path: Path) -> Path:
    path = tmp_path / "G_ema.pth"
    torch.save(filled(BIGGAN_32), path)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SALIENCY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_list_names_every_family_and_official_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = run(capsys, "generator", "list")
    _, listed, _ = run(capsys, "generator", "list", "--json")
    values = json.loads(listed)
    assert status == 0
    assert [row["family"] for row in values["families"]] == list(FAMILIES)
    names = [row["name"] for row in values["official"]]
    assert names == list(official_weights(FAMILIES)) and "biggan-deep-256" in names
    assert all(name in out for name in [*names, *FAMILIES, "compact"])
    assert not any(row["here"] for row in values["official"])
    assert all(row["licence"] and (row["url"] or row["note"]) for row in values["official"])


def test_list_sees_what_is_in_the_cache(capsys: pytest.CaptureFixture[str]) -> None:
    path = official_path(official_weights(FAMILIES)["bigbigan-128"])
    path.parent.mkdir(parents=True)
    path.touch()
    rows = json.loads(run(capsys, "generator", "list", "--json")[1])["official"]
    assert [row["name"] for row in rows if row["here"]] == ["bigbigan-128"]


def test_info_of_official_weights_says_where_to_get_them(
    capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    status, out, _ = run(capsys, "generator", "info", "biggan-deep-512")
    assert status == 0
    assert "https://s3.amazonaws.com/" in out and str(cache) in out and "resolution 512" in out


def test_info_of_a_file(capsys: pytest.CaptureFixture[str], biggan: Path) -> None:
    values = json.loads(run(capsys, "generator", "info", biggan, "--json")[1])
    assert (values["family"], values["resolution"], values["latent_dim"]) == ("biggan", 32, 16)
    assert values["fingerprint"] == load_generator(biggan).fingerprint
    assert values["ignored"]["linear.u0"] and values["classes"] == "4, without names"
    _, out, _ = run(capsys, "generator", "info", biggan)
    assert "27 tensors (linear.u0" in out
    _, out, _ = run(capsys, "generator", "info", "compact")
    assert "96 numbers" in out


def test_info_of_ones_own_generator(capsys: pytest.CaptureFixture[str]) -> None:
    source = Path(__file__).parent / "planted.py"
    values = json.loads(run(capsys, "generator", "info", f"{source}:make_generator", "--json")[1])
    assert (values["latent_dim"], values["resolution"]) == (8, 32)


def test_sample_draws_the_classes_that_were_asked_for(
    capsys: pytest.CaptureFixture[str], biggan: Path, tmp_path: Path
) -> None:
    sheets = [tmp_path / "a.png", tmp_path / "b.png"]
    for sheet in sheets:
        status, out, _ = run(
            *(capsys, "generator", "sample", biggan, "--out", sheet, "--count", 10),
            *("--columns", 5, "--classes", "1,3", "--truncation", 0.5, "--seed", 4, "--json"),
        )
        assert status == 0
    values = json.loads(out)
    assert set(values["classes"]) == {1, 3} and len(values["classes"]) == 10
    pictures = [np.asarray(Image.open(sheet)) for sheet in sheets]
    assert pictures[0].shape == (2 * 34 + 2, 5 * 34 + 2, 3)
    assert np.array_equal(*pictures) and pictures[0].std() > 10


def test_convert_keeps_the_generator(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source, out = tmp_path / "deep.bin", tmp_path / "deep.safetensors"
    torch.save({"state_dict": filled(DEEP_64)}, source)
    status, printed, _ = run(capsys, "generator", "convert", source, out, "--json")
    assert status == 0
    values = json.loads(printed)
    assert values["fingerprint"] == load_generator(source).fingerprint
    assert load_generator(out).fingerprint == values["fingerprint"]
    told = json.loads(run(capsys, "generator", "info", out, "--json")[1])
    assert told["provenance"]["converted_from"] == "deep.bin"
    assert told["provenance"]["ignored"] == values["ignored"]


class Harmful:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.target,)


def test_convert_runs_nothing_that_lies_in_a_pickle(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source, target = tmp_path / "network.pkl", tmp_path / "owned"
    source.write_bytes(pickle.dumps(Harmful(target)))
    status, _, error = run(capsys, "generator", "convert", source, tmp_path / "out.safetensors")
    assert status == 1 and error.startswith("saliency: error: ") and error.count("\n") == 1
    assert not target.exists() and not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (("convert", "{file}", "x.pth"), 2, "must end in .safetensors"),
        (("convert", "{file}.absent", "x.safetensors"), 1, "no such file"),
        (("convert", "g.py:make", "x.safetensors"), 1, "a program has no config"),
        (("sample", "{file}", "--out", "x.txt"), 2, "valid are .png"),
        (("sample", "{file}", "--out", "x.png", "--count", "0"), 2, "--count 0"),
        (("sample", "{file}", "--out", "x.png", "--classes", "4"), 2, "valid are 0 to 3"),
        (("sample", "{file}", "--out", "x.png", "--classes", "dog"), 2, "have no names"),
        (("sample", "{file}", "--out", "x.png", "--space", "w"), 2, "--space w"),
        (("sample", "{file}", "--out", "x.png", "--truncation", "-1"), 2, "--truncation -1"),
        (("sample", "compact", "--out", "x.png", "--classes", "1"), 2, "has no classes"),
        (("info", "biggan-deep-1024"), 1, "no such file"),
        (("sample", "biggan-128", "--out", "x.png"), 1, "not on this machine"),
        (("sample", "stylegan2-ffhq", "--out", "x.png"), 1, "generator fetch stylegan2-ffhq"),
        (("fetch", "biggan-128"), 1, "G_ema.pth"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str],
    biggan: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    status: int,
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    filled_in = [argument.format(file=biggan) for argument in arguments]
    found, _, error = run(capsys, "generator", *filled_in)
    complaint = error.splitlines()[-1]
    assert (found, complaint.startswith("saliency: error: ")) == (status, True)
    assert problem in complaint
    assert not list(tmp_path.glob("x.*"))


def test_classes_by_index_range_name_and_file(tmp_path: Path) -> None:
    assert parse_classes("3, 1,3", 4) == (3, 1)
    assert parse_classes("151-153,Golden Retriever", 1000) == (151, 152, 153, 207)
    listed = tmp_path / "dogs.txt"
    listed.write_text("# dogs\nChihuahua\n\n207  # golden retriever\n8-9, 10\n")
    assert parse_classes(f"{listed},0", 1000) == (151, 207, 8, 9, 10, 0)
    names = class_names(1000)
    assert names is not None and len(names) == 1000 and names[207] == "golden retriever"
    assert class_names(10) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("retriever", "did you mean golden retriever"),
        ("1000", "valid are 0 to 999"),
        ("9-3", "valid are 0 to 999"),
        (" , ", "names no class"),
        ("no/such/list.txt", "no such file"),
    ],
)
def test_classes_that_there_are_not(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse_classes(text, 1000)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a text file"):
        parse_classes(str(tmp_path / "list"), 1000)


def test_names_and_lists_are_recorded_as_indices(tmp_path: Path) -> None:
    path = tmp_path / "thousand.pth"
    torch.save(filled(biggan_shapes(4, (8, 8, 8, 8), 1, 1000, 3)), path)
    config = DiscoverConfig(classes="golden retriever,3")
    generator, resolved = sampled_generator(str(path), config, torch.device("cpu"))
    assert resolved.settings()["classes"] == "207,3"
    drawn = generator.sample(40, torch.Generator()).classes
    assert drawn is not None and set(drawn.tolist()) == {3, 207}


def test_later_stages_sample_as_the_direction_was_found() -> None:
    found = DiscoverConfig(classes="3", truncation=0.5).settings()
    assert as_discovered(SynthConfig(), found).settings()["classes"] == "3"
    other = as_discovered(SynthConfig(truncation=1.0), found)
    assert (other.classes, other.truncation, other.space) == ("3", 1.0, None)
    assert as_discovered(SynthConfig(), {}) == SynthConfig()


def test_sampling_that_is_not_given_leaves_no_trace() -> None:
    settings = DiscoverConfig().settings()
    assert not settings.keys() & SamplingConfig.model_fields.keys()
    assert DiscoverConfig(space="w").settings()["space"] == "w"
