"""Refined maps follow the photo's edges, and are maps; wrong masks get low confidence."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from readers import gradient
from scipy.sparse import diags
from scipy.sparse.linalg import spsolve

import saliency
from saliency.cli import eval as eval_command
from saliency.cli import main
from saliency.cli import predict as predict_command
from saliency.inference.confidence import confidence
from saliency.inference.segmenter import Segmenter
from saliency.refinement.bilateral import bilateral
from saliency.refinement.bilateral_grid import bistochastic, conjugate_gradients, grid
from saliency.refinement.grabcut import grabcut_mask
from saliency.refinement.guided import guided
from saliency.refinement.registry import REFINERS, refine

METHODS = {**REFINERS, "the cut alone": grabcut_mask}
SHARPENERS = ["guided", "bilateral", "grabcut", "the cut alone"]


def scene(height: int = 90, width: int = 120) -> tuple[NDArray, NDArray, NDArray]:
    """A noisy photo of a disc, the disc's mask, and a map: the mask displaced and blurred."""
    y, x = np.mgrid[:height, :width]
    side = min(height, width)
    mask = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (0.3 * side) ** 2
    colours = np.where(mask[..., None], (180, 90, 60), (60, 110, 170))
    noise = np.random.default_rng(0).normal(0, 8, (height, width, 3))
    photo = (colours + noise).clip(0, 255).astype(np.uint8)
    shifted = np.roll(mask, side // 25, axis=1).astype(np.float32)
    return photo, mask, cv2.GaussianBlur(shifted, (0, 0), side / 25).clip(0, 1)


def iou(saliency_map: NDArray, mask: NDArray) -> float:
    found = saliency_map >= 0.5
    return float((found & mask).sum() / (found | mask).sum())


def check_map(refined: NDArray, shape: tuple[int, ...]) -> None:
    assert refined.dtype == np.float32
    assert refined.shape == shape
    assert refined.min() >= 0
    assert refined.max() <= 1


@pytest.mark.parametrize("method", SHARPENERS)
def test_a_blurred_outline_gets_the_edge_back(method: str) -> None:
    photo, mask, blurred = scene()
    refined = METHODS[method](photo, blurred)
    check_map(refined, mask.shape)
    assert iou(blurred, mask) < 0.9
    assert iou(refined, mask) > 0.94


@pytest.mark.parametrize("method", SHARPENERS)
def test_a_small_map_of_a_large_photo(method: str) -> None:
    photo, mask, blurred = scene(700, 900)
    small = cv2.resize(blurred, (160, 128), interpolation=cv2.INTER_AREA)
    refined = METHODS[method](photo, small)
    check_map(refined, mask.shape)
    assert iou(refined, mask) > max(0.94, iou(REFINERS["none"](photo, small), mask) + 0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("colours", ["scene", "black"])
def test_a_constant_map_stays(method: str, value: float, colours: str) -> None:
    photo = scene()[0] * (colours == "scene")
    small = np.full((16, 20), value, dtype=np.float32)
    np.testing.assert_allclose(METHODS[method](photo, small), value, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (3, 500), (500, 3), (31, 33), (1, 400), (400, 1)]
)
def test_every_size(method: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    for size in ((32, 64), (1, 1), shape):
        check_map(METHODS[method](photo, rng.random(size, dtype=np.float32)), shape)


@pytest.mark.parametrize("method", METHODS)
def test_twice_gives_the_same_and_leaves_its_input_alone(method: str) -> None:
    photo, _, blurred = scene()
    copies = photo.copy(), blurred.copy()
    for array in (photo, blurred):
        array.flags.writeable = False
    first = METHODS[method](photo, blurred)
    cv2.setRNGSeed(7)
    np.testing.assert_array_equal(METHODS[method](photo, blurred), first)
    assert not np.shares_memory(first, blurred)
    np.testing.assert_array_equal(photo, copies[0])
    np.testing.assert_array_equal(blurred, copies[1])


@pytest.mark.parametrize("method", REFINERS)
def test_a_mirrored_photo_gets_the_mirrored_map(method: str) -> None:
    photo, _, blurred = scene(96, 128)  # whole cells of 16 px, so that the grid mirrors as well
    straight = REFINERS[method](photo, blurred)
    for flip in (np.s_[:, ::-1], np.s_[::-1]):
        mirrored = REFINERS[method](photo[flip], blurred[flip])[flip]
        np.testing.assert_allclose(mirrored, straight, atol=1e-4)


def test_guided_is_the_windows_linear_regression() -> None:
    """By least squares in every window, as the paper defines it, without any box filter."""
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    target = rng.random((9, 11), dtype=np.float32)
    reach, epsilon = 2, 0.01
    coefficients = np.zeros((9, 11, 4))
    for y, x in np.ndindex(9, 11):
        window = np.s_[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        colours = photo[window].reshape(-1, 3) / 255
        values = target[window].ravel().astype(np.float64)
        centred = colours - colours.mean(0)
        covariance = centred.T @ centred / len(values) + epsilon * np.eye(3)
        slope = np.linalg.solve(covariance, centred.T @ (values - values.mean()) / len(values))
        coefficients[y, x] = *slope, values.mean() - slope @ colours.mean(0)
    expected = np.zeros((9, 11))
    for y, x in np.ndindex(9, 11):
        window = np.s_[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        *slope, intercept = coefficients[window].reshape(-1, 4).mean(0)
        expected[y, x] = slope @ (photo[y, x] / 255) + intercept
    found = guided(photo, target, radius=reach / 9, epsilon=epsilon)
    np.testing.assert_allclose(found, expected.clip(0, 1), atol=1e-5)


def test_guided_windows_are_a_few_pixels_of_the_map_wide() -> None:
    """The same map at four times the size is trusted four times as far, up to an eighth."""
    photo, _, blurred = scene(240, 320)
    small = cv2.resize(blurred, (160, 120), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(guided(photo, small), guided(photo, small, radius=7 / 120))
    tiny = cv2.resize(blurred, (32, 24), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(guided(photo, tiny), guided(photo, tiny, radius=1 / 8))


def test_guided_needs_no_more_than_wide_windows_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, truth, blurred = scene(240, 320)
    coarse = guided(photo, blurred, radius=1 / 8)
    monkeypatch.setattr("saliency.refinement.guided.GUIDED_REACH", 1000)
    fine = guided(photo, blurred, radius=1 / 8)
    assert 0 < np.abs(coarse - fine).mean() < 0.01
    assert ((coarse >= 0.5) == truth).mean() > ((fine >= 0.5) == truth).mean() - 0.002


def test_the_grid_blurs_between_neighbouring_cells_only() -> None:
    photo = np.zeros((2, 8, 3), dtype=np.uint8)
    photo[:, 4:] = 255  # 15 cells of luma away, so no neighbours in spite of position
    cell_of_pixel, blur = grid(photo, 2, 16, 8)
    cells = cell_of_pixel.reshape(2, 8)
    np.testing.assert_array_equal(cells[0], cells[1])
    assert len(np.unique(cells)) == blur.shape[0] == 4
    dense = blur.toarray()
    np.testing.assert_array_equal(dense, dense.T)
    np.testing.assert_array_equal(dense.diagonal(), 10)
    assert dense[cells[0, 0], cells[0, 2]] == dense[cells[0, 4], cells[0, 6]] == 1
    assert dense[cells[0, 2], cells[0, 4]] == 0


def test_cells_are_numbered_alike_by_table_and_by_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, _, blurred = scene()
    by_table, solved = grid(photo, 16, 16, 8), bilateral(photo, blurred)
    monkeypatch.setattr("saliency.refinement.bilateral_grid.MAX_TABLE", 0)
    by_sort = grid(photo, 16, 16, 8)
    np.testing.assert_array_equal(by_table[0], by_sort[0])
    assert (by_table[1] != by_sort[1]).nnz == 0
    np.testing.assert_array_equal(bilateral(photo, blurred), solved)


def test_bistochastic_diagonals_and_conjugate_gradients() -> None:
    photo = scene()[0]
    cell_of_pixel, blur = grid(photo, 16, 16, 8)
    mass = np.bincount(cell_of_pixel).astype(np.float64)
    n, m = bistochastic(mass, blur)
    np.testing.assert_allclose(n * (blur @ n), m)
    np.testing.assert_allclose(m.sum(), mass.sum(), rtol=0.05)
    system = (diags(m) - diags(n) @ blur @ diags(n) + diags(mass)).tocsr()
    right = np.random.default_rng(0).random(blur.shape[0])
    found = conjugate_gradients(system, right, np.zeros_like(right))
    exact = spsolve(system.tocsc(), right)
    assert np.linalg.norm(found - exact) < 1e-3 * np.linalg.norm(exact)


def test_bilateral_fills_in_what_is_not_trusted() -> None:
    photo, mask, _ = scene()
    wrong = mask.astype(np.float32)
    wrong[30:60, 50:70] = 0  # a hole in the object
    trust = np.ones_like(wrong)
    trusting = bilateral(photo, wrong, confidence=trust)[35:55, 55:65].mean()
    trust[30:60, 50:70] = 0
    doubting = bilateral(photo, wrong, confidence=trust)[35:55, 55:65].mean()
    assert trusting < 0.8 < 0.9 < doubting


def test_grabcut_leaves_maps_of_one_side_alone() -> None:
    photo, _, blurred = scene()
    for one_sided in (blurred * 0.4, 0.6 + blurred * 0.4):
        np.testing.assert_array_equal(grabcut_mask(photo, one_sided), one_sided)
    assert set(np.unique(grabcut_mask(photo, blurred))) == {0, 1}


@pytest.mark.parametrize(
    ("photo", "saliency_map", "match"),
    [
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.float32), "photo"),
        (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.float32), "uint8"),
        (np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.float32), "photo"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), "float32"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 1), np.float32), "saliency map"),
        (np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 1.5, np.float32), r"\[0, 1\]"),
        (np.zeros((4, 4, 3), np.uint8), np.full((4, 4), np.nan, np.float32), r"\[0, 1\]"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_photo_or_map(
    method: str, photo: NDArray, saliency_map: NDArray, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        METHODS[method](photo, saliency_map)


def test_other_impossible_values() -> None:
    photo, _, blurred = scene()
    for options in ({"radius": 0}, {"epsilon": 0.0}, {"radius": float("nan")}):
        with pytest.raises(ValueError, match="above 0"):
            guided(photo, blurred, **options)
    with pytest.raises(ValueError, match="confidence"):
        bilateral(photo, blurred, confidence=np.ones((3, 3), np.float32))
    with pytest.raises(ValueError, match=r"'sharp'.*none, guided, bilateral"):
        refine(photo, blurred, "sharp")


# --- through the segmenter and the command line


def configured(folder: Path, source: Path, **values: object) -> Path:
    """A copy of a segmenter's folder with some of its config replaced; ``None`` removes."""
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    config = json.loads((source / "config.json").read_text()) | values
    kept = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


def test_predict_mask_refines(tiny_model: Path) -> None:
    image = gradient(40, 56)
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    network_map = segmenter.network_map(image)
    for name in REFINERS:
        expected = refine(image, network_map, name)
        found = saliency.predict_mask(image, model=tiny_model, refine=name, device="cpu")
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(segmenter.predict(image, refine=name), expected)
    with pytest.raises(ValueError, match=r"'sharp'.*none, guided, bilateral"):
        saliency.predict_mask(image, model=tiny_model, refine="sharp")


def test_the_segmenters_own_refiner(tiny_model: Path, tmp_path: Path) -> None:
    image = gradient(40, 56)
    old = configured(tmp_path / "old", tiny_model, refine=None)  # saved before there was any
    new = configured(tmp_path / "new", tiny_model, refine="guided")
    np.testing.assert_array_equal(
        saliency.predict_mask(image, model=old),
        saliency.predict_mask(image, model=new, refine="none"),
    )
    np.testing.assert_array_equal(
        saliency.predict_mask(image, model=new),
        saliency.predict_mask(image, model=old, refine="guided"),
    )
    segmenter = Segmenter.from_pretrained(new, "cpu")
    segmenter.save_pretrained(tmp_path / "again")
    assert Segmenter.from_pretrained(tmp_path / "again", "cpu").config.refine == "guided"
    wrong = configured(tmp_path / "wrong", tiny_model, refine="sharp")
    with pytest.raises(ValueError, match=r"wrong.*'sharp'.*none, guided, bilateral"):
        Segmenter.from_pretrained(wrong, "cpu")


def test_size_is_what_the_network_sees(tiny_model: Path) -> None:
    image = gradient(40, 56)
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    assert segmenter.network_map(image).shape == (64, 96)
    assert segmenter.network_map(image, 128).shape == (128, 192)
    assert segmenter.predict(image, size=128).shape == (40, 56)


@pytest.mark.parametrize("command", [predict_command, eval_command])
def test_the_command_lines_choices_are_all_refiners(command: object) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    (option,) = [each for each in parser._actions if each.dest == "refine"]
    assert list(option.choices) == list(REFINERS)


def test_predict_refines_and_reports_confidence(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "a.png"
    Image.fromarray(scene()[0]).save(photo)
    masks = {}
    for name in ("none", "bilateral"):
        out = tmp_path / name
        command = ["predict", str(photo), "--out", str(out), "--model", str(tiny_model)]
        assert main([*command, "--refine", name, "--json", "--device", "cpu"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert list(printed["confidence"]) == [str(photo)]
        assert 0 <= printed["confidence"][str(photo)] <= 1
        masks[name] = np.asarray(Image.open(out / "a.png"))
        expected = saliency.predict_mask(photo, model=tiny_model, refine=name, device="cpu")
        np.testing.assert_array_equal(masks[name], (expected * 255).round().astype(np.uint8))
    assert (masks["none"] != masks["bilateral"]).any()


def test_eval_refuses_to_refine_others_maps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, side in (("images", scene()[0]), ("masks", scene()[1].astype(np.uint8) * 255)):
        (tmp_path / folder).mkdir()
        Image.fromarray(side).save(tmp_path / folder / "a.png")
    command = ["eval", "--benchmark", str(tmp_path), "--refine", "guided"]
    assert main([*command, "--maps", str(tmp_path / "masks")]) == 2
    assert "--refine" in capsys.readouterr().err


# --- confidence


def test_confidence_of_certain_and_of_empty_maps() -> None:
    _, mask, blurred = scene()
    assert confidence(mask.astype(np.float32)) == 1
    assert 0.5 < confidence(blurred) < 1
    for value in (0.0, 0.4, 0.5, 1.0):
        assert confidence(np.full((20, 30), value, dtype=np.float32)) == 0
    assert confidence(np.ones((1, 1), dtype=np.float32)) == 0


@pytest.mark.parametrize(
    "doubt",
    [
        lambda p: 0.5 + (p - 0.5) * 0.6,
        lambda p: np.where(p >= 0.5, p * 0.7, p),
        lambda p: np.where(p < 0.5, np.maximum(p, 0.2), p),
        lambda p: 1 - p,  # the surroundings: all along the border
        lambda p: np.where(np.arange(p.shape[1]) < 30, np.float32(1), p),
    ],
    ids=["everywhere", "object", "ground", "inverse", "side"],
)
def test_doubts_lower_confidence(doubt: Callable[[NDArray], NDArray]) -> None:
    blurred = scene()[2]
    found = confidence(doubt(blurred).astype(np.float32))
    assert 0 <= found < confidence(blurred)


def test_confidence_does_not_depend_on_orientation() -> None:
    blurred = scene()[2]
    turned = [blurred[::-1], blurred[:, ::-1], blurred.T]
    assert [confidence(each) for each in turned] == pytest.approx([confidence(blurred)] * 3)


def test_speckles_matter_less_than_the_object() -> None:
    doubtful = scene()[2].copy()
    doubtful[2:4, 2:4] = 0.51
    assert confidence(doubtful) > 0.95 * confidence(scene()[2])
