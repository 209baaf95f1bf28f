"""The stages as Python calls: what the commands do, without the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome
from PIL import Image

import saliency
from saliency.foundation.errors import OutputConflictError, UsageError

PLANTED = f"{Path(__file__).parent / 'planted.py'}:make_generator"
NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebooks" / "pipeline.ipynb"
TINY = """
OUT = {out!r}
GENERATOR = {generator!r}
DISCOVER = {{"steps": 3, "batch": 8, "samples": 16, "refine_steps": 60, "directions": 8}}
SYNTHESISE = {{"count": 64}}
TRAIN = {{"steps": 2, "batch": 4, "size": 32, "validate_every": 1, "workers": 0}}
SELF_TRAIN = {{"rounds": 1, "sizes": 32, "steps": 1, "batch": 2, "keep": 1.0, "count": 16,
              "label_size": 32, "evidence": "none", "views": "one", "min_area": 0.0,
              "max_area": 1.0, "workers": 1}}
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of the planted generator, made by the Python calls."""
    folder = tmp_path_factory.mktemp("stages")
    sizes = {"steps": 3, "batch": 8, "samples": 16, "refine_steps": 60, "directions": 8}
    discovered = saliency.discover(PLANTED, out=folder / "discover", device="cpu", **sizes)
    assert discovered is not None and discovered.path.exists()
    pairs = saliency.synthesise(
        PLANTED, out=folder / "pairs", direction=folder / "discover", count=64, device="cpu"
    )
    assert pairs.folder == folder / "pairs" and pairs.pairs == 64
    assert 0 < pairs.survival <= 1 and pairs.drawn >= pairs.pairs
    return pairs.folder


def test_calls_go_on_and_refuse_as_the_commands_do(
    pairs: Path, tmp_path: Path, run: Callable[..., Outcome], capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"steps": 2, "batch": 4, "size": 32, "validate_every": 1, "workers": 0}
    out = tmp_path / "segmenter"
    trained = saliency.train(str(pairs), out=str(out), device="cpu", **options)
    assert trained.segmenter == out and trained.steps == 2
    assert capfd.readouterr().err == ""  # nobody asked for progress
    assert saliency.train(pairs, out=out, device="cpu", progress=True, **options) == trained
    with pytest.raises(OutputConflictError, match="steps"):
        saliency.train(pairs, out=out, device="cpu", **{**options, "steps": 3})
    by_command = tmp_path / "by-command"
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    run("train", pairs, "--out", by_command, "--device", "cpu", *words)
    assert (by_command / "model.safetensors").read_bytes() == (
        out / "model.safetensors"
    ).read_bytes()


def test_configs_mappings_files_and_options_mean_the_same(tmp_path: Path) -> None:
    from saliency.recipes.settings import stage_config

    toml = tmp_path / "train.toml"
    toml.write_text("steps = 5\nvalidate-every = 2\n")
    expected = saliency.TrainConfig(steps=5, validate_every=2, seed=3)
    for config in (
        toml,
        {"steps": 5, "validate_every": 2},
        saliency.TrainConfig(steps=5, validate_every=2),
    ):
        merged = stage_config(saliency.TrainConfig, "train", config=config, options={"seed": 3})
        assert merged == expected
    recipe = stage_config(saliency.TrainConfig, "train", recipe="strict", config={"steps": 7})
    assert (recipe.steps, recipe.encoder) == (7, "tu-regnetx_004")


def test_what_is_wrong_is_said_by_the_parameters_name(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"stepz: unknown; valid: .*steps"):
        saliency.train(pairs, out=tmp_path / "a", stepz=3)
    with pytest.raises(UsageError, match="`cutouts` and `over`: give both"):
        saliency.train(pairs, out=tmp_path / "a", cutouts=tmp_path)
    with pytest.raises(UsageError, match="`method` 'nonsense': unknown"):
        saliency.evaluate(benchmark(tmp_path), method="nonsense")
    with pytest.raises(UsageError, match="`model`, `maps`, `method`: give one"):
        saliency.evaluate(benchmark(tmp_path), method="rbd", maps=tmp_path)
    assert not (tmp_path / "a").exists()


def benchmark(folder: Path) -> Path:
    """Two photos with a bright square, and its mask."""
    for kind in ("images", "masks"):
        (folder / "benchmark" / kind).mkdir(parents=True, exist_ok=True)
    for number in range(2):
        mask = np.zeros((40, 48), np.uint8)
        mask[10:30, 8 + 8 * number : 30] = 255
        Image.fromarray(mask).save(folder / "benchmark" / "masks" / f"{number}.png")
        photo = np.dstack([mask // 2 + 60] * 3)
        Image.fromarray(photo).save(folder / "benchmark" / "images" / f"{number}.png")
    return folder / "benchmark"


def test_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = benchmark(tmp_path)
    scored = saliency.evaluate(
        folder, method="rbd", protocol=["voynov", "pysod"], out=tmp_path / "score.json"
    )
    assert set(scored.results) == {"voynov", "pysod"}
    assert scored.metrics == scored.results["voynov"]["metrics"]
    assert scored.out == tmp_path / "score.json" and scored.out.exists()
    assert capsys.readouterr().err == ""
    perfect = saliency.evaluate(folder, maps=folder / "masks")
    assert perfect.metrics["iou"] == pytest.approx(1)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum(len(cell.source.splitlines()) for cell in code) < 40
    (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = TINY.format(out=str(tmp_path / "out"), generator=PLANTED)
    client = nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    assert "passed the filters" in str(notebook.cells)
