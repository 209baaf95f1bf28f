"""Fast, default and best: how thoroughly a photo is looked at."""

from pathlib import Path

import numpy as np
import pytest
from readers import gradient

import saliency
from saliency.inference.segmenter import Segmenter
from saliency.inference.views import Views, averaged_map, get_views


def test_sizes_are_multiples_of_32_around_the_segmenters_own() -> None:
    assert get_views("fast").sizes(320) == [224]
    assert get_views("default").sizes(320) == [320]
    assert get_views("best").sizes(320) == [320, 448]
    assert get_views("fast").sizes(32) == [32]
    with pytest.raises(saliency.SaliencyError, match="valid: fast, default, best"):
        get_views("great")


def test_default_is_the_network_alone_and_fast_the_same_at_a_smaller_size(
    tiny_model: Path,
) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    photo = gradient(70, 90)
    np.testing.assert_array_equal(segmenter.saliency_map(photo), segmenter.network_map(photo))
    fast = segmenter.saliency_map(photo, quality="fast")
    np.testing.assert_array_equal(fast, segmenter.network_map(photo, 32))
    for quality in ("fast", "default", "best"):
        assert saliency.predict_mask(photo, model=segmenter, quality=quality).shape == (70, 90)


def test_best_is_the_mean_over_sizes_and_mirror_images(tiny_model: Path) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    views = Views("mirrored", (1.0,), mirrored=True)
    found = averaged_map(segmenter.network_map, photo, views, 64)
    expected = (segmenter.network_map(photo) + segmenter.network_map(mirrored)[:, ::-1]) / 2
    np.testing.assert_allclose(found, expected, atol=1e-6)
    best = segmenter.saliency_map(photo, quality="best")
    other = segmenter.saliency_map(mirrored, quality="best")
    np.testing.assert_allclose(best, other[:, ::-1], atol=1e-5)
    assert best.shape == segmenter.network_map(photo, 96).shape
    assert best.dtype == np.float32


def test_the_commands_take_a_quality(tiny_model: Path, tmp_path: Path) -> None:
    from PIL import Image

    from saliency.cli import main

    Image.fromarray(gradient(70, 90)).save(tmp_path / "photo.png")
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    for quality in ("fast", "best"):
        out = tmp_path / f"{quality}.png"
        given = ["predict", str(tmp_path / "photo.png"), "-o", str(out), "--quality", quality]
        assert main([*given, "--model", str(tiny_model), "--device", "cpu"]) == 0
        expected = segmenter.predict(gradient(70, 90), quality=quality) * 255
        assert np.abs(np.asarray(Image.open(out)) - expected).max() <= 0.51
    with pytest.raises(SystemExit, match="2"):
        main(["predict", "x.png", "-o", "y", "--quality", "great"])
