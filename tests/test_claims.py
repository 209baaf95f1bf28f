"""Stages know their own folders, whoever calls them, and leave the process as it was."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import TINY_ENCODER, digests, tiny_round
from planted import make_generator
from readers import gradient

import saliency
from data.runtime.threads import single_threaded_pool
from data.store.files import claimed, replacing
from data.store.locks import TEMPORARY, temporary_folder
from data.store.pairs import PairFolder
from data.synthesis import Masking, SynthConfig, synthesise
from directions.generators import load_generator
from directions.training.trainer import GanTrainer, GeneratorTrainConfig
from saliency.baselines.classical import BASELINES
from saliency.foundation.errors import OutputConflictError, SegmenterError, UsageError
from saliency.inference.config import SegmenterConfig
from saliency.inference.network import build_network
from saliency.inference.predict import load_segmenter
from saliency.inference.segmenter import Segmenter
from saliency.self_training.label_stream import Material
from saliency.self_training.labelling import Labeller, label_photos
from saliency.self_training.rounds import self_train
from saliency.training.from_pairs import train_segmenter
from saliency.training.settings import TrainConfig

CPU = torch.device("cpu")
TINY = {
    "encoder": TINY_ENCODER,
    "encoder_weights": "none",
    "decoder_channels": "16,16,8,8,8",
    "size": 32,
    "steps": 2,
    "batch": 4,
    "workers": 0,
}


def test_training_into_a_folder_of_other_settings_is_refused_and_changes_nothing(
    disc_pairs: Path, tmp_path: Path
) -> None:
    pairs = PairFolder(disc_pairs)
    first = train_segmenter(pairs, TrainConfig.build(TINY), tmp_path / "a", CPU)
    before = digests(tmp_path / "a")
    with pytest.raises(OutputConflictError, match=r"lr 0\.001, not 0\.002"):
        train_segmenter(pairs, TrainConfig.build({**TINY, "lr": 2e-3}), tmp_path / "a", CPU)
    assert digests(tmp_path / "a") == before
    assert train_segmenter(pairs, TrainConfig.build(TINY), tmp_path / "a", CPU) == first
    assert digests(tmp_path / "a") == before
    few = PairFolder(disc_pairs, disc_pairs)
    with pytest.raises(OutputConflictError, match="pairs_sha256"):
        train_segmenter(few, TrainConfig.build(TINY), tmp_path / "a", CPU)


def test_synthesis_does_not_hand_back_another_configurations_pairs(
    tmp_path: Path, planted_recipe: Masking
) -> None:
    generator = make_generator(16)
    synthesise(generator, planted_recipe, SynthConfig(count=10), tmp_path)
    before = digests(tmp_path)
    with pytest.raises(OutputConflictError, match="seed 0, not 1"):
        synthesise(generator, planted_recipe, SynthConfig(count=10, seed=1), tmp_path)
    other = Masking(-planted_recipe.shift, "intensity", 0.95, planted_recipe.filters)
    with pytest.raises(OutputConflictError, match="recipe_sha256"):
        synthesise(generator, other, SynthConfig(count=10), tmp_path)
    assert digests(tmp_path) == before


def test_labels_of_another_teacher_are_not_taken(
    tiny_model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    photos = sorted(photo_folder.glob("*.png"))[:3]
    labeller = Labeller(tiny_model, (32,), False, "none", "none", "cpu")
    label_photos(photos, labeller, tmp_path / "labels", 1)
    torch.manual_seed(1)
    config = SegmenterConfig(TINY_ENCODER, (16, 16, 8, 8, 8), size=64)
    Segmenter(build_network(config), config, "cpu").save_pretrained(tmp_path / "other")
    other = Labeller(tmp_path / "other", (32,), False, "none", "none", "cpu")
    with pytest.raises(OutputConflictError, match="teacher"):
        label_photos(photos, other, tmp_path / "labels", 1)
    with pytest.raises(OutputConflictError, match="photos_sha256"):
        label_photos(photos[:2], labeller, tmp_path / "labels", 1)


HOLDER = """
import sys, time
from data.store.files import claimed
with claimed(sys.argv[1], "test", {}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_never_write_into_one_folder_and_strays_of_killed_ones_go(
    tmp_path: Path,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(OutputConflictError, match="another process is writing"),
            claimed(tmp_path / "out", "test", {}),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    stray = tmp_path / "out" / "deeper" / f".part{TEMPORARY}abc.bin"
    stray.parent.mkdir()
    stray.write_bytes(b"half")
    with claimed(tmp_path / "out", "test", {}), claimed(tmp_path / "out" / "deeper", "inner", {}):
        assert not stray.exists()
        with claimed(tmp_path / "out", "test", {}):  # the same process may, again
            pass
    with claimed(tmp_path / "out", "test", {}):
        pass


def process_state() -> dict[str, object]:
    threads: list[int] = []
    asked = threading.Thread(target=lambda: threads.append(torch.get_num_threads()))
    asked.start()
    asked.join()
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": repr(np.random.get_state()),
        "random": random.getstate(),
        "threads": (torch.get_num_threads(), threads),
        "gradients": torch.is_grad_enabled(),
        "filters": list(warnings.filters),
        "environment": dict(os.environ),
        "cv2": cv2.getNumThreads(),
    }


def test_stages_leave_the_process_as_it_was_also_when_they_fail(
    disc_pairs: Path, tmp_path: Path, planted_recipe: Masking, tiny_model: Path
) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")

    def stages(out: Path) -> None:
        synthesise(make_generator(16), planted_recipe, SynthConfig(count=10, workers=2), out / "p")
        train_segmenter(PairFolder(disc_pairs), TrainConfig.build(TINY), out / "s", CPU)
        photos = np.zeros((4, 3, 16, 16), np.uint8)
        GanTrainer(GeneratorTrainConfig(resolution=16, batch=4), photos, CPU)
        Segmenter.from_pretrained(tiny_model, "cpu")
        for refine in ("none", "guided", "bilateral", "grabcut"):
            saliency.predict_mask(gradient(40, 50), model=segmenter, refine=refine)

    stages(tmp_path / "first")  # libraries change filters when they are imported
    torch.manual_seed(123)
    before = process_state()
    stages(tmp_path / "second")
    with pytest.raises(ZeroDivisionError), single_threaded_pool(2) as pool:
        pool.submit(lambda: 1 / 0).result()
    assert process_state() == before


def test_grabcut_keeps_opencvs_random_numbers() -> None:
    def numbers(between: bool) -> np.ndarray:
        cv2.setRNGSeed(5)
        if between:
            BASELINES["grabcut-box"](gradient(40, 50))
        drawn = np.zeros((4, 4), np.uint8)
        cv2.randu(drawn, 0, 255)
        return drawn

    np.testing.assert_array_equal(numbers(True), numbers(False))


def test_a_folder_that_was_trained_again_is_loaded_again(tmp_path: Path) -> None:
    photo = gradient(40, 50)

    def save(seed: int) -> None:
        torch.manual_seed(seed)
        config = SegmenterConfig(TINY_ENCODER, (16, 16, 8, 8, 8), size=32)
        Segmenter(build_network(config), config, "cpu").save_pretrained(tmp_path / "m")

    save(0)
    first = saliency.predict_mask(photo, model=tmp_path / "m")
    assert load_segmenter(tmp_path / "m") is load_segmenter(str(tmp_path / "m"))
    time.sleep(0.01)
    save(1)
    second = saliency.predict_mask(photo, model=tmp_path / "m")
    assert np.abs(first - second).max() > 1e-4


def test_a_local_folder_of_a_shipped_name_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_segmenter("default").config.encoder.endswith("lite0")
    (tmp_path / "default").mkdir()
    assert load_segmenter("default").config.encoder.endswith("lite0")  # an empty folder is none
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "default" / name).write_bytes((tiny_model / name).read_bytes())
    with pytest.raises(SegmenterError, match=r"write \./default"):
        load_segmenter("default")
    assert load_segmenter("./default").config.encoder == TINY_ENCODER
    assert load_segmenter(Path("default")).config.encoder == TINY_ENCODER


def test_a_device_that_is_not_there_or_not_the_segmenters_is_refused(tiny_model: Path) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    photo = gradient(40, 50)
    assert saliency.predict_mask(photo, model=segmenter, device="cpu").shape == (40, 50)
    for device in ("cuda:7", "gpu", "meta"):
        with pytest.raises(UsageError, match=f"`device` {device}"):
            saliency.predict_mask(photo, model=segmenter, device=device)
    with pytest.raises(UsageError, match="`device` gpu"):
        saliency.predict_mask(photo, model=tiny_model, device="gpu")


def test_labels_made_before_are_taken_over_and_those_of_another_teacher_are_not(
    tiny_model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    config = tiny_round()
    photos = sorted(photo_folder.glob("*.png"))
    self_train(photos, tiny_model, Material(), config, tmp_path / "a", CPU)
    labels = tmp_path / "a" / "round-1" / "labels"
    assert not list((tmp_path / "a").rglob("checkpoint*"))
    self_train(photos, tiny_model, Material(), config, tmp_path / "b", CPU, labels)
    assert digests(tmp_path / "b", "model*") == digests(tmp_path / "a", "model*")
    assert digests(tmp_path / "b" / "round-1" / "labels") == digests(labels)
    other = tmp_path / "a"  # the student is another teacher
    config = config.model_copy(update={"decoder_channels": (128, 64, 32, 16, 16)})
    with pytest.raises(OutputConflictError, match="teacher"):
        self_train(photos, other, Material(), config, tmp_path / "c", CPU, labels)


def killed(program: str, *arguments: str) -> None:
    """Run a program that kills itself."""
    ended = subprocess.run([sys.executable, "-c", program, *arguments], timeout=60)
    assert ended.returncode == -signal.SIGKILL


HALF_WRITTEN = """
import os, signal, sys
from data.store.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
HALF_UNPACKED = """
import os, signal, sys
from pathlib import Path
from data.store.locks import temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
WITH_A_CHILD = """
import os, signal, sys, time
from data.store.files import claimed
with claimed(sys.argv[1], "test", {}):
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITES = "import sys; from data.store.files import write_text; write_text(sys.argv[1], 'whole')"


def test_what_a_killed_process_left_goes_when_the_next_writes_there(tmp_path: Path) -> None:
    target = tmp_path / "score.json"
    killed(HALF_UNPACKED, str(tmp_path))
    killed(HALF_WRITTEN, str(target))
    assert len(list(tmp_path.iterdir())) == 2
    with replacing(tmp_path / "in-use.txt"):
        subprocess.run([sys.executable, "-c", WRITES, str(target)], check=True)
        assert len(list(tmp_path.glob(".in-use*"))) == 1  # somebody is still writing it
    with temporary_folder(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in-use.txt", "score.json"]
    assert target.read_text() == "whole"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_process_holds_no_folder_through_the_workers_that_it_forked(
    tmp_path: Path,
) -> None:
    killed(WITH_A_CHILD, str(tmp_path / "out"))
    with claimed(tmp_path / "out", "test", {}):
        pass


def test_what_is_no_segmenter_and_no_device_is_said_in_our_words(tiny_model: Path) -> None:
    photo = gradient(40, 50)
    for function in (saliency.predict_mask, saliency.cut_out):
        with pytest.raises(UsageError, match="`model` 3: must be a segmenter"):
            function(photo, model=3)
        segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
        with pytest.raises(UsageError, match="`device` cuda:7"):
            function(photo, model=segmenter, device="cuda:7")
    with pytest.raises(UsageError, match="`device` gpu: unknown"):
        load_generator("compact", device="gpu")


def test_a_cut_out_takes_a_folder_of_a_shipped_name_as_the_mask_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").symlink_to(tiny_model)
    assert saliency.cut_out(gradient(40, 50), model=Path("default")).size == (50, 40)
    with pytest.raises(SegmenterError, match=r"write \./default"):
        saliency.cut_out(gradient(40, 50), model="default")


def test_loading_a_segmenter_draws_no_random_numbers_and_keeps_no_half_precision(
    tiny_model: Path,
) -> None:
    before = torch.get_rng_state()
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    floating = {v.dtype for v in segmenter.network.state_dict().values() if v.is_floating_point()}
    assert floating == {torch.float32}
    assert not any(t.is_meta for t in segmenter.network.state_dict().values())
