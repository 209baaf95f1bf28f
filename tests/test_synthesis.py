"""Synthesis: the same pairs whatever happens on the way, and honest counts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import TESTS, digests
from planted import make_generator, planted_direction

from data import synthesis
from data.images.masks import Filters, intensity_mask
from data.store.pairs import PairFolder, pairs_provenance, read_note, write_shard
from data.synthesis import Masking, SynthConfig, make_block, preview_rows, synthesise
from directions.generators import Generator
from saliency.foundation.errors import InputError, NotFoundInGeneratorError

SHARDS = "pairs-*.parquet"
COUNT = 60


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shards from few samples."""
    monkeypatch.setattr(synthesis, "BLOCK", 8)
    monkeypatch.setattr(synthesis, "SHARD_BLOCKS", 4)


def make(out: Path, recipe: Masking, generator: Generator | None = None, **options: object):
    config = SynthConfig.build({"count": COUNT, "workers": 1, **options})
    return synthesise(generator or make_generator(16), recipe, config, out)


@pytest.fixture
def undisturbed(tmp_path: Path, planted_recipe: Masking, small_shards: None) -> Path:
    make(tmp_path / "undisturbed", planted_recipe)
    return tmp_path / "undisturbed"


def test_workers_do_not_matter(undisturbed: Path, tmp_path: Path, planted_recipe: Masking) -> None:
    make(tmp_path / "three", planted_recipe, workers=3)
    assert len(digests(undisturbed, SHARDS)) >= 2
    assert digests(tmp_path / "three", SHARDS) == digests(undisturbed, SHARDS)


def test_a_source_takes_the_place_of_the_prior(
    undisturbed: Path, tmp_path: Path, planted_recipe: Masking
) -> None:
    """It is asked for every sample once, by number, and its random numbers are the block's."""
    generator = make_generator(16)
    asked: list[tuple[int, int, int]] = []

    class Source:
        def draw(self, seed: int, first: int, count: int, rng: torch.Generator) -> object:
            asked.append((seed, first, count))
            return generator.sample(count, rng)

    config = SynthConfig(count=COUNT, workers=3)
    synthesise(generator, planted_recipe, config, tmp_path / "source", Source())
    assert digests(tmp_path / "source", SHARDS) == digests(undisturbed, SHARDS)
    blocks = 4 * len(digests(undisturbed, SHARDS))
    first = asked.pop(0)  # by which the folder knows the source again
    assert first[:2] == (0, 0)
    assert sorted(asked) == [(0, 8 * block, 8) for block in range(blocks)]


def test_each_block_is_computed_by_one_thread(
    undisturbed: Path, tmp_path: Path, planted_recipe: Masking
) -> None:
    """How a sum is split over threads changes its last bits, so the caller's number must not."""
    generator = make_generator(16)
    network, threads = generator.network, []

    def counted(latents: torch.Tensor) -> torch.Tensor:
        threads.append(torch.get_num_threads())
        return network(latents)

    generator.network = counted
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        make(tmp_path / "other", planted_recipe, generator)
    finally:
        torch.set_num_threads(before)
    assert set(threads) == {1}
    assert digests(tmp_path / "other", SHARDS) == digests(undisturbed, SHARDS)


def test_the_count_only_cuts(undisturbed: Path, tmp_path: Path, planted_recipe: Masking) -> None:
    make(tmp_path / "fewer", planted_recipe, count=25)
    fewer, more = PairFolder(tmp_path / "fewer"), PairFolder(undisturbed)
    assert len(fewer) == 25
    for index in range(25):
        np.testing.assert_array_equal(fewer[index].image, more[index].image)
        np.testing.assert_array_equal(fewer[index].mask, more[index].mask)
        assert fewer[index].sample == more[index].sample


def test_another_seed_makes_other_pairs(
    undisturbed: Path, tmp_path: Path, planted_recipe: Masking
) -> None:
    make(tmp_path / "other", planted_recipe, seed=1)
    first, second = PairFolder(undisturbed), PairFolder(tmp_path / "other")
    images = {first[i].image.tobytes() for i in range(len(first))}
    assert len(images) == COUNT
    assert not images & {second[i].image.tobytes() for i in range(len(second))}


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from data import synthesis
from data.images.masks import Filters
from planted import make_generator, planted_direction
synthesis.BLOCK, synthesis.SHARD_BLOCKS = 8, 4
out, moment = Path(sys.argv[1]), sys.argv[2]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

generator = make_generator(16)
if moment == "computing":
    network, calls = generator.network, []
    def counted(z):
        calls.append(1)
        if len(calls) == 12:
            die()
        return network(z)
    generator.network = counted
else:
    write = pq.write_table
    def half(table, path, **options):
        if out.joinpath("pairs-00000.parquet").exists():
            write(table, path, **options)
            os.truncate(path, os.path.getsize(path) // 2)
            die()
        write(table, path, **options)
    pq.write_table = half
masking = synthesis.Masking(6.0 * planted_direction(), "intensity", 0.95, Filters())
synthesis.synthesise(generator, masking, synthesis.SynthConfig(count=60, workers=1), out)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["computing", "writing"])
def test_a_killed_run_goes_on_to_the_same_bytes(
    undisturbed: Path, tmp_path: Path, planted_recipe: Masking, moment: str
) -> None:
    out = tmp_path / "killed"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), moment],
        capture_output=True,
        cwd=TESTS,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    left = digests(out, SHARDS)
    whole = digests(undisturbed, SHARDS)
    assert len(left) == 1 < len(whole)  # it died in the middle
    report = make(out, planted_recipe)
    assert digests(out, SHARDS) == whole
    assert report.pairs == len(PairFolder(out)) == COUNT


def test_complete_shards_are_not_made_again(
    undisturbed: Path, planted_recipe: Masking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("drawn again")

    expected = make(undisturbed, planted_recipe)
    monkeypatch.setattr(synthesis, "make_block", never)
    assert make(undisturbed, planted_recipe) == expected


def test_counts_add_up(undisturbed: Path, planted_recipe: Masking) -> None:
    report = make(undisturbed, planted_recipe)
    notes = [read_note(shard) for shard in sorted(undisturbed.glob(SHARDS))]
    for note in notes:
        assert note["survived"] + sum(note["rejected"].values()) == note["drawn"] == 32
    assert report.drawn == 32 * len(notes)
    assert report.pairs == COUNT == sum(note["kept"] for note in notes)
    assert report.survival == pytest.approx(sum(note["survived"] for note in notes) / report.drawn)


def test_each_filter_counts_its_own(tmp_path: Path, small_shards: None) -> None:
    recipe = Masking(6.0 * planted_direction(), "intensity", 0.95, Filters(0.2, 0.28))
    report = make(tmp_path / "strict", recipe, count=20)
    assert set(report.rejected) == {"too small", "too large"}
    pairs = PairFolder(tmp_path / "strict")
    areas = [pairs[i].area for i in range(len(pairs))]
    assert min(areas) > 0.2
    assert max(areas) < 0.28


def test_pairs_are_the_original_image_and_the_masks_of_the_rule(
    undisturbed: Path, planted_recipe: Masking
) -> None:
    """Block 0 made by hand, without synthesis' own helpers."""
    generator = make_generator(16)
    pairs = PairFolder(undisturbed)
    found, _ = make_block(generator, planted_recipe, 0, 0)
    assert found
    for index, pair in enumerate(found):
        stored = pairs[index]
        np.testing.assert_array_equal(stored.image, pair.image)
        assert stored.area == pytest.approx(stored.mask.mean(), abs=1e-6)
        assert stored.seed == 0
        assert stored.sample == pair.sample < 8
    # the disc is dark and the whitened background is not: the mask must be the disc
    assert np.mean([pair.mask[7:9, 7:9].mean() for pair in found]) > 0.95
    assert np.mean([pair.border for pair in found]) < 0.05
    white = torch.ones(1, 3, 16, 16)
    assert not intensity_mask(white).any()


def test_a_useless_direction_is_refused(tmp_path: Path, small_shards: None) -> None:
    recipe = Masking(0.01 * planted_direction(), "intensity", 0.95, Filters())
    with pytest.raises(NotFoundInGeneratorError, match=r"\d+ of \d+ samples survive .*too large"):
        make(tmp_path / "none", recipe)
    assert not list((tmp_path / "none").glob(SHARDS))


def test_impossible_areas(tmp_path: Path, planted_recipe: Masking) -> None:
    with pytest.raises(InputError, match="min_area"):
        make(tmp_path, planted_recipe, min_area=0.5, max_area=0.2)


def test_shards_are_plain_parquet(undisturbed: Path) -> None:
    rows = [
        row
        for shard in sorted(undisturbed.glob(SHARDS))
        for row in pq.read_table(shard).to_pylist()
    ]
    assert len(rows) == COUNT
    assert set(rows[0]) == {"image", "mask", "sample", "seed", "area", "border"}
    samples = [row["sample"] for row in rows]
    assert samples == sorted(set(samples))
    assert all(row["image"]["bytes"].startswith(b"\x89PNG") for row in rows)


@pytest.mark.slow
def test_the_datasets_package_reads_them(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(undisturbed / SHARDS),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    pairs = PairFolder(undisturbed)
    assert len(loaded) == COUNT
    row = loaded[7]
    np.testing.assert_array_equal(np.asarray(row["image"]), pairs[7].image)
    np.testing.assert_array_equal(np.asarray(row["mask"]) > 127, pairs[7].mask)


def test_damaged_and_foreign_shards(undisturbed: Path, tmp_path: Path) -> None:
    shard = sorted(undisturbed.glob(SHARDS))[0]
    os.truncate(shard, shard.stat().st_size // 2)
    with pytest.raises(InputError, match="damaged shard"):
        PairFolder(undisturbed)
    with pytest.raises(InputError, match="not a shard of pairs"):
        read_note(shard)
    with pytest.raises(InputError, match="no such folder"):
        PairFolder(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pairs in it"):
        PairFolder(tmp_path / "empty")
    write_shard(tmp_path / "hollow" / "pairs-00000.parquet", [], {})
    with pytest.raises(InputError, match="hold no pairs"):
        PairFolder(tmp_path / "hollow")


def test_a_parquet_file_of_something_else_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "pairs-00000.parquet")
    with pytest.raises(InputError):
        PairFolder(tmp_path)


def test_provenance_follows_the_content(undisturbed: Path, tmp_path: Path) -> None:
    before = pairs_provenance(undisturbed)["sha256"]
    assert pairs_provenance(undisturbed)["sha256"] == before
    twice = pairs_provenance(undisturbed, undisturbed)
    assert twice["sha256"] != before
    assert twice["runs"] == [pairs_provenance(undisturbed)["run"]] * 2
    sorted(undisturbed.glob(SHARDS))[-1].unlink()
    assert pairs_provenance(undisturbed)["sha256"] != before


def test_preview_dims_the_background_only(undisturbed: Path) -> None:
    pairs = PairFolder(undisturbed)
    pair = pairs[0]
    image, dimmed = preview_rows([pair])
    mask = torch.from_numpy(pair.mask).expand(3, -1, -1)
    assert torch.equal(image[0][mask], dimmed[0][mask])
    assert (dimmed[0][~mask] < image[0][~mask] + 1e-6).all()
