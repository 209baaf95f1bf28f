"""File names that hold commands to a terminal are only shown by it."""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome
from PIL import Image
from readers import gradient, text_jpg

from saliency.foundation.errors import InputError
from saliency.foundation.terminal import printable, printable_lines

HOSTILE = "\x1b]0;title\x07\x9b31m\u202egpj\x7f\n\udce9"
ESCAPED = r"\x1b]0;title\x07\x9b31m\u202egpj\x7f\x0a\xe9"


def test_controls_are_escaped_and_text_is_not() -> None:
    assert printable(HOSTILE) == ESCAPED
    assert printable_lines("a\tb\n\x1bc\n") == "a\tb\n\\x1bc\n"
    plain = "Ærø, 日本 ± é ‑ 👩‍🎨 שלום"
    assert printable(plain) == plain
    assert InputError("`label_size` 3: \x1b[0m").for_command_line() == r"--label-size 3: \x1b[0m"


def is_safe(text: str) -> bool:
    return not set(text) & set("\x1b\x07\x9b\u202e\x7f")


def test_messages_and_results(
    run: Callable[..., Outcome], tmp_path: Path, tiny_model: Path
) -> None:
    folder = tmp_path / HOSTILE
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    Image.fromarray(gradient(20, 20)).save(folder / "photo.png")
    text_jpg(folder / "b\x1b[2Jad.jpg")
    (folder / "\x1b.svg").write_text("<svg/>")
    base = ("predict", folder, "--model", tiny_model, "--device", "cpu", "--out")
    outcome = run(*base, tmp_path / f"out{HOSTILE}")
    assert outcome.status == 3
    assert is_safe(outcome.out + outcome.err)
    lines_kept = ESCAPED.replace(r"\x0a", "\n")  # results may have several lines
    assert f"{tmp_path}/out{lines_kept}: 1 map written" in outcome.out
    assert rf"saliency: skipped: {tmp_path}/{ESCAPED}/b\x1b[2Jad.jpg: not an image" in outcome.err
    assert rf"saliency: skipped: {tmp_path}/{ESCAPED}: 1 .svg" in outcome.err
    outcome = run(*base, tmp_path / "other", "--json")
    assert is_safe(outcome.out)
    assert list(json.loads(outcome.out)["written"]) == [str(folder / "photo.png")]
    in_line = ESCAPED.replace(r"\x0a", " ")  # errors are one line
    assert in_line in run("predict", folder / "x", "--out", tmp_path / "o").complaint(1)
    assert in_line in run(HOSTILE).complaint(2)
    assert r"--\x1bx: unknown" in run("predict", "--\x1bx").complaint(2)
    assert os.fsencode(folder).endswith(b"\n\xe9")


def test_other_warnings(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    from saliency import cli

    monkeypatch.setattr(cli, "_run", lambda _: warnings.warn("a \x1b[0m file", stacklevel=1) or 0)
    assert run("recipes").status == 0
    assert [str(warning.message) for warning in recwarn] == [r"a \x1b[0m file"]
