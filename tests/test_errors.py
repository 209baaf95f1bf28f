"""What users of the Python functions read when something is wrong."""

import copy
import errno
import pickle
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.downloads.download import download
from data.images.masks import apply_rule
from data.store.files import load_torch, read_json
from data.synthesis import SynthConfig
from directions.generators.families.compact import CompactGenerator
from directions.picking import pick
from saliency.baselines.classical import get_baseline
from saliency.foundation.errors import (
    InputError,
    SaliencyError,
    UsageError,
    reason_of,
    system_message,
)
from saliency.inference.predict import predict_mask
from saliency.refinement.registry import refine
from saliency.training.settings import TrainConfig

WRONG_SIZE = r"^`size` 33: must be a multiple of 32$"
WRONG_CONFIGS: dict[str, tuple[Callable[[], object], str]] = {
    "value": (lambda: TrainConfig(size=33), WRONG_SIZE),
    "build": (lambda: TrainConfig.build({"size": 33}), WRONG_SIZE),
    "validate": (lambda: TrainConfig.model_validate({"size": 33}), WRONG_SIZE),
    "json": (lambda: TrainConfig.model_validate_json('{"size": 33}'), WRONG_SIZE),
    "no json": (lambda: TrainConfig.model_validate_json("{"), "JSON"),
    "name": (lambda: TrainConfig(colour=3), "^colour: unknown; valid: .* size, "),
    "two": (
        lambda: SynthConfig(min_area=0.6, max_area=0.5),
        r"^`min_area` 0.6: must be below `max_area` 0.5$",
    ),
    "change": (lambda: setattr(TrainConfig(), "size", 64), "^`size` 64: "),
}


@pytest.mark.parametrize("case", WRONG_CONFIGS)
def test_a_config_that_cannot_be_is_wrong_usage(case: str) -> None:
    make, message = WRONG_CONFIGS[case]
    with pytest.raises(UsageError, match=message):
        make()


def test_a_config_can_be_copied_and_sent_to_workers() -> None:
    config = TrainConfig(size=64)
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert config.model_copy(update={"size": 96}).size == 96


def test_a_config_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^`config` {tmp_path}: Is a directory$"):
        TrainConfig.read_toml(tmp_path)


PHOTO = np.zeros((8, 8, 3), np.uint8)
MAP = np.zeros((8, 8), np.float32)
MISTAKES: dict[str, Callable[[], object]] = {
    "refiner": lambda: refine(PHOTO, MAP, "sharp"),
    "photo": lambda: refine(PHOTO[..., 0], MAP, "guided"),
    "map": lambda: refine(PHOTO, MAP + 2, "guided"),
    "baseline": lambda: get_baseline("nope"),
    "run": lambda: pick(Path(__file__).parent, 0, Path("out")),
    "rule": lambda: apply_rule("nope", lambda _: None, 0.5),  # type: ignore[arg-type, return-value]
    "threshold": lambda: predict_mask(PHOTO, threshold="high"),  # type: ignore[arg-type]
    "network": lambda: CompactGenerator(latent_dim=8, resolution=33, width=4),
}


@pytest.mark.parametrize("read", [read_json, load_torch])
def test_a_folder_where_a_file_is_needed(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}: .*Is a directory"):
        read(tmp_path)


def test_a_checkpoint_of_rubbish(tmp_path: Path) -> None:
    for name in ("a.pt", "a.safetensors"):
        (tmp_path / name).write_bytes(b"rubbish" * 10)
        with pytest.raises(InputError, match="not a checkpoint of this program"):
            load_torch(tmp_path / name)


@pytest.mark.parametrize("case", MISTAKES)
def test_a_users_mistake_is_of_the_tree(case: str) -> None:
    with pytest.raises(InputError) as caught:
        MISTAKES[case]()
    assert isinstance(caught.value, ValueError)


def test_the_command_line_names_its_own_options() -> None:
    error = SaliencyError("`index` 9 and `label_size` 3\nof `min_score`; `saliency train` makes it")
    assert str(error).startswith("`index` 9")
    assert error.for_command_line() == (
        "--index 9 and --label-size 3 of --min-score; `saliency train` makes it"
    )
    options = {"index": "NUMBER", "label_size": "--label-size"}
    assert error.for_command_line(options) == (
        "NUMBER 9 and --label-size 3 of `min_score`; `saliency train` makes it"
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: No space left on device"),
        (FileExistsError(errno.EEXIST, "File exists", b"a/\xe9"), "a/\udce9: File exists"),
        (OSError(errno.EXDEV, "Cross-device link", "a", None, "b"), "b: Cross-device link"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("not the system's\nin two lines"), "not the system's"),
        (
            OSError(errno.ENOENT, "Failed to open 'x'. Detail: [errno 2] No such file", "x"),
            "x: No such file or directory",
        ),
    ],
)
def test_errors_of_the_system_have_no_numbers(error: OSError, message: str) -> None:
    assert system_message(error) == message


def test_the_reason_leaves_out_the_file() -> None:
    assert reason_of(PermissionError(errno.EACCES, "Permission denied", "x")) == "Permission denied"
    assert reason_of(KeyError()) == "KeyError"


def test_a_server_that_is_not_there_is_told_without_numbers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        with pytest.raises(InputError, match="Connection refused") as caught:
            download(url, tmp_path / "x", attempts=1)
    assert "Errno" not in str(caught.value)
