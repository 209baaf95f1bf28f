"""Contact sheets: each image in its place, within black frames."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.images.sheets import save_sheet


@pytest.mark.parametrize(("counts", "gap"), [((1,), 2), ((1, 1), 2), ((3, 1, 2), 1), ((2, 5), 0)])
def test_every_image_is_in_its_place(tmp_path: Path, counts: tuple[int, ...], gap: int) -> None:
    """One image alone has its frame as well."""
    torch.manual_seed(0)
    rows = [1.5 * torch.randn(count, 3, 7, 9) for count in counts]
    save_sheet(tmp_path / "sheet.png", rows, gap)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    height, width = 7 + gap, 9 + gap
    expected = np.zeros((len(counts) * height + gap, max(counts) * width + gap, 3), np.uint8)
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            pixels = ((image.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0)
            y, x = gap + top * height, gap + left * width
            expected[y : y + 7, x : x + 9] = pixels.numpy()
    np.testing.assert_array_equal(sheet, expected)
