"""`saliency predict`: where its files go, what it never touches, and what is in them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import digests
from PIL import Image
from readers import gradient, text_jpg
from test_colours import ADOBE, grey_profile

from saliency import cut_out
from saliency.cli import main
from saliency.foundation.images import to_rgb
from saliency.prediction.formats import read_mark
from saliency.prediction.outputs import output_names


class Done:
    """What a command left."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def result(self) -> dict:
        return json.loads(self.out)


@pytest.fixture
def predict(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*arguments: object) -> Done:
        capfd.readouterr()
        base = ["predict", "--model", str(tiny_model), "--device", "cpu"]
        try:
            status = main([*base, *map(str, arguments)])
        except SystemExit as error:
            status = int(error.code or 0)
        done = Done(status, *capfd.readouterr())
        assert "Traceback" not in done.err
        return done

    return run


def save(path: Path, shift: int = 0, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.roll(gradient(40, 56), shift, axis=1)).save(path, **options)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_photos_are_never_overwritten(predict: Callable[..., Done], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    save(photos / "a.png")
    save(photos / "b.png", 3)
    (tmp_path / "link").symlink_to(photos, target_is_directory=True)
    before = digests(photos)
    for arguments in (
        (photos, "--out", photos),
        (photos, "--out", tmp_path / "link"),
        (tmp_path / "link", "--out", photos, "--overwrite"),
        (photos / "a.png", "--out", photos, "--skip-existing"),
        (photos / "a.png", "--out", photos / "a.png", "--overwrite"),
        (photos / "a.png", photos / "b.png", "-o", tmp_path / "link" / ".." / "photos"),
    ):
        done = predict(*arguments)
        assert done.status == 1
        assert "is the photo" in done.err
        assert "saliency: error: --out" in done.err
    assert digests(photos) == before


def test_foreign_files_are_refused_before_anything_is_written(
    predict: Callable[..., Done], tmp_path: Path
) -> None:
    save(tmp_path / "in" / "a.jpg")
    save(tmp_path / "in" / "b.jpg")
    out = tmp_path / "out"
    save(out / "b.png", 9)
    before = digests(out)
    done = predict(tmp_path / "in", "--out", out)
    assert done.status == 1
    assert "b.png" in done.err
    assert "--overwrite" in done.err
    assert "--skip-existing" in done.err
    assert digests(out) == before
    assert predict(tmp_path / "in", "--out", out, "--skip-existing").status == 0
    assert names_in(out) == ["a.png", "b.png"]
    assert digests(out)["b.png"] == before["b.png"]
    assert predict(tmp_path / "in", "--out", out, "--overwrite").status == 0
    assert digests(out)["b.png"] != before["b.png"]


def test_the_same_command_goes_on_where_it_stopped(
    predict: Callable[..., Done], tmp_path: Path
) -> None:
    for number, name in enumerate("abc"):
        save(tmp_path / "in" / f"{name}.jpg", number)
    command = (tmp_path / "in", "--out", tmp_path / "out", "--json")
    first = predict(*command).result
    assert (len(first["written"]), first["kept"]) == (3, {})
    (tmp_path / "out" / "b.png").unlink()
    before = digests(tmp_path / "out")
    second = predict(*command).result
    assert list(second["written"]) == [str(tmp_path / "in" / "b.jpg")]
    assert len(second["kept"]) == 2
    assert second["confidence"] == first["confidence"]
    assert before.items() < digests(tmp_path / "out").items()
    # other options, or another photo of that name, are not the same
    assert predict(*command, "--threshold", "0.5").status == 1
    save(tmp_path / "in" / "a.jpg", 20)
    assert "a.png" in predict(*command).err


def test_outputs_inside_the_photos_folder_are_no_photos(
    predict: Callable[..., Done], tmp_path: Path
) -> None:
    for out in (tmp_path / "in" / "masks", tmp_path / "in"):
        save(tmp_path / "in" / "a.jpg")
        command = (tmp_path / "in", "--out", out, "--json")
        assert list(predict(*command).result["written"]) == [str(tmp_path / "in" / "a.jpg")]
        again = predict(*command)
        assert (again.result["written"], len(again.result["kept"])) == ({}, 1)
        assert "skipped" in again.err
        if out != tmp_path / "in":
            assert again.result["left_out"] == {"output folder": 1}
            (out / "a.png").unlink()
            out.rmdir()
        else:
            assert again.result["left_out"] == {"made by this program": 1}


def test_the_folders_of_the_photos_are_kept(predict: Callable[..., Done], tmp_path: Path) -> None:
    for name in ("x.jpg", "a/x.jpg", "a/b/x.jpg", "a/y.jpg", "a/y.png"):
        save(tmp_path / "in" / name)
    assert predict(tmp_path / "in", "--out", tmp_path / "out").status == 0
    assert names_in(tmp_path / "out") == ["a/b/x.png", "a/x.png", "a/y.jpg.png", "a/y.png.png",
                                          "x.png"]  # fmt: skip


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        (["a.jpg", "b.png"], ["a.png", "b.png"]),
        (["a.jpg", "a.png"], ["a.jpg.png", "a.png.png"]),
        (["a.jpg", "A.png"], ["a.jpg.png", "A.png.png"]),
        (["a.jpg", "a.png", "a.jpg.gif"], ["a.jpg.png", "a.png.png", "a.jpg.gif.png"]),
        (["one/a.jpg", "two/a.jpg"], ["one/a.jpg.png", "two/a.jpg.png"]),
        (["é.jpg", "e\u0301.png"], ["é.jpg.png", "e\u0301.png.png"]),
    ],
)
def test_names_that_would_be_the_same(
    tmp_path: Path, photos: list[str], expected: list[str]
) -> None:
    folders = {tmp_path / photo: (tmp_path / photo).parent for photo in photos}
    wanted = dict(zip(folders, expected, strict=True))
    backwards = dict(reversed(folders.items()))
    for given in (folders, backwards):  # the order of the photos does not matter
        assert {photo: str(name) for photo, name in output_names(given).items()} == wanted


def test_names_that_differ_in_case_alone_and_names_of_folders(tmp_path: Path) -> None:
    alike = output_names(dict.fromkeys((tmp_path / "a.jpg", tmp_path / "A.JPG"), tmp_path))
    assert len({str(name).casefold() for name in alike.values()}) == 2
    album = output_names(
        dict.fromkeys((tmp_path / "a.jpg", tmp_path / "a.png" / "b.jpg"), tmp_path)
    )
    assert [str(name) for name in album.values()] == ["a.jpg.png", "a.png/b.png"]


def test_one_photo_and_a_file_name(predict: Callable[..., Done], tmp_path: Path) -> None:
    photo = save(tmp_path / "in" / "a.jpg")
    assert predict(photo, "-o", tmp_path / "new" / "mask.png").status == 0
    assert Image.open(tmp_path / "new" / "mask.png").size == (56, 40)
    assert predict(photo, "-o", tmp_path / "new" / "mask.png", "--json").result["written"] == {}
    for photos, name, problem in (
        ([photo], "mask.gif", ".gif files are not written; valid: .png"),
        ([photo, photo], "m.png", "name a folder"),
        ([photo.parent], "m.png", "name a folder"),
    ):
        done = predict(*photos, "-o", tmp_path / name)
        assert done.status == 2
        assert problem in done.err
    (tmp_path / "old.png").mkdir()  # a folder that is there is a folder
    assert predict(photo, "-o", tmp_path / "old.png").status == 0
    assert names_in(tmp_path / "old.png") == ["a.png"]


def test_files_where_folders_are_needed(predict: Callable[..., Done], tmp_path: Path) -> None:
    save(tmp_path / "in" / "sub" / "a.jpg")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("mine")
    (tmp_path / "third" / "sub" / "a.png").mkdir(parents=True)
    for out, problem in (
        ("file", "is a file; name a folder"),
        ("file/deeper", "is a file; a folder is needed there"),
        ("out", "is a file; a folder is needed there"),
        ("third", "is a folder; a file goes there"),
    ):
        done = predict(tmp_path / "in", "--out", tmp_path / out)
        assert done.status == 1
        assert problem in done.err
        assert "Errno" not in done.err


def test_cutouts_keep_colours_profile_and_resolution(
    predict: Callable[..., Done], tmp_path: Path
) -> None:
    photo = save(tmp_path / "a.png", icc_profile=ADOBE, dpi=(300, 300))
    assert np.abs(to_rgb(photo).astype(int) - gradient(40, 56)).max() > 5
    assert predict(photo, "--out", tmp_path / "map").status == 0
    assert predict(photo, "--out", tmp_path / "cut", "--no-decontaminate").status == 0
    cutout = Image.open(tmp_path / "cut" / "a.png")
    shown = np.asarray(cutout)[..., 3:] > 0
    expected = np.where(shown, gradient(40, 56), 0)
    np.testing.assert_array_equal(np.asarray(cutout)[..., :3], expected)
    assert cutout.info["icc_profile"] == ADOBE
    np.testing.assert_allclose(cutout.info["dpi"], 300, atol=0.1)
    assert "icc_profile" not in Image.open(tmp_path / "map" / "a.png").info


def test_cutouts_of_what_no_rgb_file_can_hold_are_srgb(
    predict: Callable[..., Done], tmp_path: Path
) -> None:
    Image.fromarray(gradient(40, 56)).convert("CMYK").save(tmp_path / "ink.tif", icc_profile=ADOBE)
    grey = Image.fromarray(gradient(40, 56)).convert("L")
    grey.save(tmp_path / "grey.png", icc_profile=grey_profile(1.0))
    for name in ("ink.tif", "grey.png"):
        assert predict(tmp_path / name, "--out", tmp_path / "cut", "--no-decontaminate").status == 0
        cutout = Image.open(tmp_path / "cut" / Path(name).with_suffix(".png"))
        shown = np.asarray(cutout)[..., 3] > 0
        np.testing.assert_array_equal(
            np.asarray(cutout)[shown][:, :3], to_rgb(tmp_path / name)[shown]
        )
        assert "icc_profile" not in cutout.info


def test_what_is_transparent_stays_so(predict: Callable[..., Done], tmp_path: Path) -> None:
    alpha = np.tile(np.linspace(0, 255, 56).astype(np.uint8), (40, 1))
    Image.fromarray(np.dstack([gradient(40, 56), alpha])).save(tmp_path / "a.png")
    for out, options in (("matte", ("--no-decontaminate",)), ("hard", ("--threshold", "0"))):
        assert predict(tmp_path / "a.png", "-o", tmp_path / out, "--cutout", *options).status == 0
        found = np.asarray(Image.open(tmp_path / out / "a.png"))
        assert (found[..., 3] <= alpha).all()
        assert (found[..., 3] == alpha).any()
        shown = found[..., 3] > 0
        np.testing.assert_array_equal(found[shown][:, :3], gradient(40, 56)[shown])
        assert (found[~shown] == 0).all()
    np.testing.assert_array_equal(found[..., 3], alpha)


@pytest.mark.parametrize("options", [(), ("--edges", "crisp"), ("--feather", "3", "--crop", "2")])
def test_cut_outs_of_the_command_are_those_of_python(
    predict: Callable[..., Done], tmp_path: Path, tiny_model: Path, options: tuple[str, ...]
) -> None:
    photo = save(tmp_path / "a.png")
    assert predict(photo, "-o", tmp_path / "cut.png", "--cutout", *options).status == 0
    named = dict(zip(options[::2], options[1::2], strict=True))
    values = {name.lstrip("-"): value for name, value in named.items()}
    values |= {name: int(values[name]) for name in ("feather", "crop") if name in values}
    expected = cut_out(photo, model=tiny_model, device="cpu", **values)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "cut.png")), expected)


def test_a_cut_out_over_another_background_is_opaque_srgb(
    predict: Callable[..., Done], tmp_path: Path
) -> None:
    photo = save(tmp_path / "a.png", icc_profile=ADOBE)
    Image.new("RGB", (9, 9), "lime").save(tmp_path / "lime.png")
    for number, background in enumerate(("#00ff00", tmp_path / "lime.png")):
        out = tmp_path / f"{number}.png"
        assert predict(photo, "-o", out, "--background", background, "--keep", "all").status == 0
        found = Image.open(out)
        assert found.mode == "RGB"
        assert "icc_profile" not in found.info
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "0.png")), np.asarray(Image.open(tmp_path / "1.png"))
    )


def test_another_way_of_cutting_is_not_taken_for_the_same(
    predict: Callable[..., Done], tmp_path: Path
) -> None:
    photo = save(tmp_path / "a.png")
    again = ("-o", tmp_path / "cut.png", "--edges", "crisp")
    assert predict(photo, *again).status == 0
    assert "there already" in predict(photo, *again).out
    assert predict(photo, *again, "--feather", "1").status == 1
    assert predict(photo, *again, "--feather", "1", "--overwrite").status == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--feather", "-1"), "--feather -1.0: must be a number of pixels from 0 to 500"),
        (("--crop", "-2"), "--crop -2: must be a whole number"),
        (("--background", "blu"), "--background 'blu': must be a colour"),
        (("--threshold", "0.5", "--fill-holes"), "--threshold and --fill-holes"),
    ],
)
def test_impossible_cut_outs_are_refused(
    predict: Callable[..., Done], tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    done = predict(save(tmp_path / "a.png"), "-o", tmp_path / "out", *options)
    assert done.status == 2
    assert complaint in done.err
    assert not (tmp_path / "out").exists()


def test_the_last_line_says_what_was_written(predict: Callable[..., Done], tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.jpg")
    save(tmp_path / "in" / "b.jpg")
    text_jpg(tmp_path / "in" / "bad.jpg")
    (tmp_path / "in" / "notes.txt").touch()
    done = predict(tmp_path / "in", "--out", tmp_path / "cut", "--cutout")
    assert (done.status, done.out) == (
        3, f"{tmp_path / 'cut'}: 2 cut-outs written, 1 photo skipped\n",
    )  # fmt: skip
    assert f"saliency: skipped: {tmp_path / 'in'}: 1 of other kinds" in done.err
    assert f"saliency: skipped: {tmp_path / 'in' / 'bad.jpg'}: not an image" in done.err
    assert predict(tmp_path / "in", "--out", tmp_path / "cut", "--cutout").out == (
        f"{tmp_path / 'cut'}: 0 cut-outs written, 2 there already, 1 photo skipped\n"
    )
    photo = tmp_path / "in" / "a.jpg"
    assert "1 mask written" in predict(photo, "-o", tmp_path / "m", "--threshold", "0.5").out
    assert "1 map written" in predict(photo, "-o", tmp_path / "s").out


def test_floats_out_of_range_are_named(predict: Callable[..., Done], tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 300, np.float32)).save(tmp_path / "deep.tif")
    done = predict(tmp_path / "deep.tif", "--out", tmp_path / "out")
    assert done.status == 1
    assert f"skipped: {tmp_path / 'deep.tif'}: floats from 300 to 300" in done.err


def test_help_tells_of_statuses_and_confidence(predict: Callable[..., Done]) -> None:
    said = " ".join(predict("--help").out.split())
    assert "3 done in part" in said
    assert "confidence of each photo in [0, 1]" in said
    assert "-o PATH" in said


def test_marks_of_other_files_are_none(tmp_path: Path) -> None:
    assert read_mark(save(tmp_path / "a.png")) is None
    assert read_mark(text_jpg(tmp_path / "b.png")) is None
    assert read_mark(tmp_path / "absent.png") is None
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "PNG")
    assert "saliency" not in Image.open(buffer).info
