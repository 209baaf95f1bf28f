"""Photos worked on in threads: the same bits as alone, in order, with bounded memory."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from readers import gradient, text_jpg

from saliency import ImageError, SaliencyError, Segmenter
from saliency.inference.batches import BATCH, WINDOW, in_order, pixels_in
from saliency.refinement.registry import REFINERS

SHAPES = [(40, 56), (56, 40), (64, 64), (33, 200), (300, 400), (7, 9)]


@pytest.fixture
def caller_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """PyTorch's threads of the caller."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def photos(count: int) -> list[np.ndarray]:
    """Photos of several shapes, in turns."""
    rng = np.random.default_rng(0)
    shapes = [SHAPES[number % len(SHAPES)] for number in range(count)]
    noise = [rng.integers(-20, 20, (*shape, 3)) for shape in shapes]
    return [
        np.clip(gradient(*shape) + grain, 0, 255).astype(np.uint8)
        for shape, grain in zip(shapes, noise, strict=True)
    ]


def assert_as_alone(segmenter: Segmenter, images: list[np.ndarray], **options: object) -> None:
    alone = [segmenter.predict(image, **options) for image in images]
    together = list(segmenter.predict_batch(images, **options))
    assert len(together) == len(alone)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("refine", REFINERS)
def test_the_same_bits_as_alone(tiny_model: Path, refine: str) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    assert_as_alone(segmenter, photos(2 * len(SHAPES)), refine=refine)


@pytest.mark.parametrize("caller_threads", [2, 3], indirect=True)
def test_the_same_bits_with_several_threads_each(tiny_model: Path, caller_threads: int) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    assert_as_alone(segmenter, photos(len(SHAPES)), size=32 * caller_threads)


@pytest.mark.slow
@pytest.mark.parametrize("caller_threads", [1, 2], indirect=True)
@pytest.mark.parametrize("name", ["default", "strict"])
@pytest.mark.parametrize("quality", ["fast", "default"])
def test_the_same_bits_of_the_segmenters_that_ship(
    name: str, quality: str, caller_threads: int
) -> None:
    segmenter = Segmenter.from_pretrained(name, "cpu")
    assert_as_alone(segmenter, photos(len(SHAPES)), quality=quality)


def test_every_kind_of_image_and_one_of_them_twice(tiny_model: Path, tmp_path: Path) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    pixels = gradient(40, 56)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    expected = segmenter.predict(pixels)
    with path.open("rb") as file, Image.open(path) as image:
        kinds = [pixels, torch.from_numpy(pixels).permute(2, 0, 1), path, str(path)]
        kinds += [path.read_bytes(), io.BytesIO(path.read_bytes()), file, image]
        assert [pixels_in(kind) for kind in kinds] == [40 * 56] * len(kinds)
        for found in segmenter.predict_batch(4 * kinds, batch_size=7):
            np.testing.assert_array_equal(found, expected)


def test_what_is_no_image_is_said_in_its_turn(tiny_model: Path, tmp_path: Path) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    images = [gradient(40, 56), text_jpg(tmp_path / "bad.jpg"), [1, 2], gradient(40, 56)]
    assert [pixels_in(image) for image in images[1:3]] == [1, 1]
    maps = segmenter.predict_batch(images)
    assert next(maps).shape == (40, 56)
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        next(maps)
    assert list(maps) == []
    assert list(segmenter.predict_batch([])) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"batch_size": 0}, "`batch_size` 0: must be a whole number from 1 to 1024"),
        ({"batch_size": 2.5}, "`batch_size` 2.5"),
        ({"refine": "sharper"}, "`refine` 'sharper': unknown"),
        ({"quality": "superb"}, "`quality` 'superb': unknown"),
    ],
)
def test_impossible_options_are_refused_at_once(
    tiny_model: Path, options: dict[str, object], complaint: str
) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    with pytest.raises(SaliencyError, match=complaint):
        segmenter.predict_batch([], **options)


def test_photos_are_worked_on_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=20)
    assert list(in_order(lambda photo: meeting.wait() >= 0, range(4), lambda _: 1)) == [True] * 4


@pytest.mark.parametrize("caller_threads", [3], indirect=True)
@pytest.mark.parametrize("others", [1, 3])
def test_threads_compute_as_the_caller_does(caller_threads: int, others: int) -> None:
    other = threading.Thread(target=torch.set_num_threads, args=[others])
    other.start()
    other.join()
    seen = set(in_order(lambda _: torch.get_num_threads(), range(9), lambda _: 1))
    assert seen == {caller_threads}
    assert torch.get_num_threads() == caller_threads


def test_few_photos_are_in_work_however_many_there_are() -> None:
    asked: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            asked.append(len(asked))
            yield asked[-1]

    for size in (1, 5, BATCH):
        asked.clear()
        results = in_order(lambda photo: photo * photo, endless(), lambda _: 1, size)
        for turn in range(40):
            assert next(results) == turn * turn
            assert len(asked) <= turn + size + 1
        results.close()


def test_pixels_in_work_are_bounded_and_a_huge_photo_is_alone() -> None:
    held, most, lock = [], [], threading.Lock()

    def work(pixels: int) -> int:
        with lock:
            held.append(pixels)
            most.append((sum(held), len(held)))
        return pixels

    sizes = [WINDOW // 3, WINDOW // 3, WINDOW // 2, 4 * WINDOW, 1, 1, WINDOW, WINDOW // 4] * 3
    for size, pixels in zip(sizes, in_order(work, sizes, int), strict=True):
        assert pixels == size
        with lock:
            held.remove(pixels)
    assert all(total <= WINDOW or count == 1 for total, count in most)


def test_who_stops_early_waits_for_the_photos_in_work_alone() -> None:
    begun: list[int] = []
    results = in_order(lambda photo: begun.append(photo), iter(range(1000)), lambda _: 1, 4)
    next(results)
    results.close()
    count = len(begun)
    assert count <= 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("photos")]
    assert len(begun) == count
