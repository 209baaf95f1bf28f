"""What the command line says of itself, and to those who mistype it."""

from collections.abc import Callable

import pytest
from conftest import Outcome

from saliency.cli import COMMANDS


def test_help_and_version(run: Callable[..., Outcome]) -> None:
    shown = run("--help")
    assert shown.status == 0
    assert all(name in shown.out for name in COMMANDS)
    assert run("--version").out.startswith("saliency ")
    for words in ([], *([name] for name in COMMANDS), ["generator", "train"], ["eval", "compare"]):
        shown = run(*words, "--help")
        assert shown.status == 0
        told = " ".join(shown.out.split()).partition("Exit status: ")[2]
        assert "2 wrong usage" in told and "143 terminated" in told
    assert "the confidence of each photo" in run("predict", "--help").out


@pytest.mark.parametrize(
    ("arguments", "usage", "problem"),
    [
        ("", "saliency [OPTIONS] COMMAND ...", "required: COMMAND"),
        ("trian", "saliency [OPTIONS] COMMAND ...", "trian: unknown; did you mean train?"),
        ("xyz", "saliency [OPTIONS] COMMAND ...", "xyz: unknown; `saliency --help` lists the com"),
        ("predict", "saliency predict [OPTIONS] -o PATH PHOTO [PHOTO ...]", "required: PHOTO, -o"),
        ("synth --ouut x", "saliency synth [OPTIONS] --out DIR", "--ouut: unknown; did you mean "
         "--out?"),
        ("train p --out x --epochs=3", "saliency train [OPTIONS] --out DIR PAIRS [PAIRS ...]",
         "--epochs: unknown; did you mean --steps?"),
        ("discover pick R 3 --sing + --out x",
         "saliency discover pick [OPTIONS] --out DIR RUN NUMBER",
         "--sing: unknown; did you mean --sign?"),
        ("generator smaple", "saliency generator [OPTIONS] ACTION ...", "did you mean sample?"),
        ("eval --device tpu", "saliency eval [OPTIONS] [ACTION] ...",
         "--device tpu: valid are auto, cpu, cuda"),
        ("recipes a b", "saliency recipes [OPTIONS] [NAME]", "b: not expected"),
    ],
)  # fmt: skip
def test_wrong_usage(run: Callable[..., Outcome], arguments: str, usage: str, problem: str) -> None:
    outcome = run(*arguments.split())
    assert problem in outcome.complaint(2)
    assert outcome.out == ""
    assert outcome.err.splitlines()[0] == f"usage: {usage}"
    assert len(outcome.err.splitlines()) == 2


def test_an_options_first_letters_are_enough(run: Callable[..., Outcome]) -> None:
    assert run("eval", "--list-p").status == 0
