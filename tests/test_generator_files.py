"""Generator files: what opens, what is refused and how; generators of one's own."""

import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from biggan_layouts import BIGGAN_32, DEEP_64, converted_bigbigan, filled
from published_layouts import dcgan_shapes
from published_layouts import filled as dcgan_filled
from torch import Tensor, nn

from directions.generators import (
    FAMILIES,
    ClassGenerator,
    Generator,
    NetworkGenerator,
    Sampling,
    fingerprint,
    load_generator,
    open_generator,
)
from directions.generators.files.official import official_path, official_weights
from directions.generators.files.store import save_generator
from saliency.foundation.errors import InputError, UsageError

TENSORS = filled(BIGGAN_32)


def one_line(source: object) -> str:
    """The error of loading ``source``, which is one line that names it."""
    with pytest.raises(InputError) as caught:
        load_generator(str(source))
    message = str(caught.value)
    assert "\n" not in message and str(source) in message
    return message


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "G_ema.pth"
    torch.save(TENSORS, path)
    return path


def test_a_published_checkpoint_by_its_path(checkpoint: Path) -> None:
    generator = load_generator(checkpoint, sampling=Sampling(classes=(1,)))
    drawn = generator.sample(2, torch.Generator().manual_seed(0))
    assert generator.generate(drawn).shape == (2, 3, 32, 32)
    assert drawn.classes is not None and drawn.classes.tolist() == [1, 1]


@pytest.mark.parametrize("key", ["g_ema", "G_ema", "netG_state_dict", "state_dict", "generator"])
def test_networks_inside_training_checkpoints(tmp_path: Path, key: str) -> None:
    path = tmp_path / "training.tar"
    wrapped = {f"module.{name}": tensor for name, tensor in TENSORS.items()}
    other = {"first.weight": torch.zeros(2, 2)}
    torch.save({"epoch": 3, "d": other, "optimizer": {"state": {}}, key: wrapped}, path)
    opened = open_generator(path)
    assert opened.family.name == "biggan" and opened.key == key


def test_averaged_weights_come_before_the_last_ones(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    last = {name: tensor + 1 for name, tensor in TENSORS.items()}
    torch.save({"g": last, "g_ema": TENSORS}, path)
    assert open_generator(path).key == "g_ema"


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before-zip"])
def test_a_converted_file_is_the_same_generator(tmp_path: Path, old: bool) -> None:
    published, ours = tmp_path / "deep.bin", tmp_path / "deep.safetensors"
    torch.save(filled(DEEP_64), published, _use_new_zipfile_serialization=not old)
    opened = open_generator(published)
    save_generator(ours, opened.family.name, opened.network, opened.config, {})
    first, second = load_generator(published), load_generator(ours)
    assert first.fingerprint == second.fingerprint
    drawn = first.sample(1, torch.Generator().manual_seed(0))
    assert torch.allclose(first.generate(drawn), second.generate(drawn), atol=1e-5)


def test_half_precision_weights_compute_in_float32(tmp_path: Path) -> None:
    path = tmp_path / "half.pth"
    torch.save({name: tensor.half() for name, tensor in TENSORS.items()}, path)
    opened = open_generator(path)
    assert {tensor.dtype for tensor in opened.network.state_dict().values()} == {torch.float32}


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.bin", "weights.tar"])
@pytest.mark.parametrize("form", ["zip", "before-zip", "bare", "beside-tensors"])
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, name: str, form: str) -> None:
    path, target = tmp_path / name, tmp_path / "owned"
    evil = Malicious(target)
    if form == "bare":
        path.write_bytes(pickle.dumps(evil, protocol=2))
    else:
        content = {**TENSORS, "evil": evil} if form == "beside-tensors" else {"state_dict": evil}
        torch.save(content, path, _use_new_zipfile_serialization=form != "before-zip")
    message = one_line(path)
    assert not target.exists()
    assert "could run code" in message or "damaged" in message
    pickle.loads(pickle.dumps(evil))  # so it would have been seen
    assert target.exists()


def test_a_pickle_names_what_it_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "whole-module.pth"
    torch.save(nn.Linear(2, 2), path)
    assert "torch.nn.modules.linear.Linear" in one_line(path)
    nvidia = tmp_path / "stylegan2-ffhq-config-f.pkl"
    nvidia.write_bytes(pickle.dumps(Malicious(tmp_path / "owned")))
    assert "saliency generator convert" in one_line(nvidia)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before-zip"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_files(tmp_path: Path, share: float, old: bool) -> None:
    path = tmp_path / "G_ema.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=not old)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "damaged" in one_line(path)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    assert "is a folder" in one_line(tmp_path)
    text = tmp_path / "notes.pth"
    text.write_text("not a checkpoint")
    assert "damaged" in one_line(text)
    numbers = tmp_path / "numbers.pth"
    torch.save({"epoch": 3}, numbers)
    message = one_line(numbers)
    assert "epoch" in message and "netG_state_dict" in message


def test_an_unknown_family_says_what_was_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pth"
    torch.save({"fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)}, path)
    message = one_line(path)
    assert "fc.weight" in message
    for family in FAMILIES.values():
        assert f"{family.name}: {family.looked_for}" in message


def test_missing_unknown_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "G_ema.pth"
    wrong = dict(TENSORS)
    del wrong["blocks.1.0.bn2.stored_mean"]
    wrong["surplus"] = torch.zeros(1)
    wrong["output_layer.0.gain"] = torch.zeros(17)
    torch.save(wrong, path)
    message = one_line(path)
    assert "missing: blocks.1.0.bn2.stored_mean" in message
    assert "unknown: surplus" in message
    assert "output_layer.0.gain is (17,), not (16,)" in message


def own_file(path: Path, family: str, config: dict[str, object]) -> None:
    opened_tensors, _ = FAMILIES["biggan"].translate(TENSORS, {})

    class Holder(nn.Module):
        def state_dict(self) -> dict[str, Tensor]:  # type: ignore[override]
            return dict(opened_tensors)

    save_generator(path, family, Holder(), config, {})


def test_our_own_file_with_the_wrong_family_or_resolution(tmp_path: Path) -> None:
    path = tmp_path / "gan.safetensors"
    config = FAMILIES["biggan"].recognise(TENSORS)
    assert config is not None
    own_file(path, "biggan", config)
    assert load_generator(path).resolution == 32
    own_file(path, "biggan", {**config, "resolution": 64})
    assert "3 blocks make 32 px, not 64" in one_line(path)
    own_file(path, "biggan", {**config, "resolution": 64, "widths": [16] * 5, "latent_dim": 20})
    assert "at 64 px: missing: blocks.3" in one_line(path)
    own_file(path, "bigbigan", config)
    assert "does not fit family 'bigbigan'" in one_line(path)
    own_file(path, "diffusion", config)
    assert "unknown family 'diffusion'; valid: compact, biggan" in one_line(path)


def test_official_weights_that_are_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SALIENCY_CACHE", str(tmp_path))
    names = official_weights(FAMILIES)
    assert len(names) == sum(len(family.weights) for family in FAMILIES.values())
    path = official_path(names["bigbigan-128"])
    assert path.is_relative_to(tmp_path)
    path.parent.mkdir(parents=True)
    torch.save(converted_bigbigan(), path)
    with pytest.raises(InputError, match="is not bigbigan-128: latent_dim is 16, not 120"):
        load_generator("bigbigan-128")


LATENT_DIM = 5


class Network(nn.Module):
    """Somebody's: no base class of ours."""

    def __init__(self, side: int = 8, channels: int = 3, spatial: bool = False) -> None:
        super().__init__()
        self.side, self.channels, self.spatial = side, channels, spatial
        self.layer = nn.Linear(LATENT_DIM, channels * side * side)

    def forward(self, z: Tensor) -> Tensor:
        if self.spatial:
            z = z[:, :, 0, 0]
        images = torch.sigmoid(self.layer(z))
        return images.reshape(-1, self.channels, self.side, self.side)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("spatial", [False, True])
def test_a_module_of_ones_own(channels: int, spatial: bool) -> None:
    network = Network(channels=channels, spatial=spatial)
    generator = NetworkGenerator.of(network, LATENT_DIM)
    drawn = generator.sample(3, torch.Generator().manual_seed(0))
    z = drawn.z[:, :, None, None] if spatial else drawn.z
    expected = (2 * network(z) - 1).expand(-1, 3, -1, -1)
    assert generator.resolution == 8
    assert torch.allclose(generator.generate(drawn), expected, atol=1e-6)
    assert generator.fingerprint == fingerprint(network.state_dict())


class Tinted(nn.Module):
    """Images in [0, 255], one grey value for each class."""

    def forward(self, z: Tensor, classes: Tensor) -> Tensor:
        shade = 255 * torch.sigmoid(z[:, 0] + 4 * (classes - 1))
        return shade[:, None, None, None].expand(-1, 1, 4, 4)


def test_a_conditional_module_of_ones_own() -> None:
    generator = ClassGenerator.of(Tinted(), LATENT_DIM, class_count=3, classes=[0, 2])
    drawn = generator.sample(32, torch.Generator().manual_seed(0))
    assert drawn.classes is not None
    assert set(drawn.classes.tolist()) == {0, 2}
    images = generator.generate(drawn)
    assert images.shape == (32, 3, 4, 4)
    assert torch.equal(images[:, 0, 0, 0] > 0, (drawn.z[:, 0] + 4 * (drawn.classes - 1)) > 0)
    with pytest.raises(UsageError, match="classes 0 to 2"):
        ClassGenerator.of(Tinted(), LATENT_DIM, class_count=3, classes=[3])
    with pytest.raises(InputError, match="takes neither"):
        NetworkGenerator.of(Tinted(), LATENT_DIM)


class Scaled(nn.Module):
    def __init__(self, factor: float, offset: float) -> None:
        super().__init__()
        self.factor, self.offset = factor, offset

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z[:, :3, None, None]).expand(-1, -1, 4, 4) * self.factor + self.offset


@pytest.mark.parametrize(
    ("factor", "offset"), [(1.0, 0.0), (255.0, 0.0), (2.0, -1.0)], ids=["unit", "bytes", "signed"]
)
def test_the_value_range_is_worked_out(factor: float, offset: float) -> None:
    generator = NetworkGenerator.of(Scaled(factor, offset), LATENT_DIM)
    drawn = generator.sample(3, torch.Generator().manual_seed(0))
    expected = 2 * torch.sigmoid(drawn.z[:, :3]) - 1
    assert torch.allclose(generator.generate(drawn)[..., 0, 0], expected, atol=1e-5)
    told = NetworkGenerator.of(Scaled(1.0, 0.0), LATENT_DIM, value_range=(-1, 1))
    assert told.generate(drawn).min() > 0


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        (nn.Linear(LATENT_DIM, 4), r"\(8, 4\) of 8 latents"),
        (nn.Linear(3, 4), "takes neither"),
        (nn.Sequential(nn.Linear(LATENT_DIM, 24), nn.Unflatten(1, (3, 2, 4))), r"\(8, 3, 2, 4\)"),
        (Scaled(float("nan"), 0.0), "not finite"),
    ],
)
def test_modules_that_are_no_generators(network: nn.Module, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        NetworkGenerator.of(network, LATENT_DIM)
    assert "\n" not in str(caught.value)


def test_an_exported_programs_module(tmp_path: Path) -> None:
    program = torch.export.export(
        Network(), (torch.zeros(2, LATENT_DIM),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    generator = NetworkGenerator.of(program.module(), LATENT_DIM)
    assert generator.generate(generator.sample(5, torch.Generator())).shape == (5, 3, 8, 8)
    path = tmp_path / "gan.pt2"
    torch.export.save(program, path)
    assert "exported program" in one_line(path)


def python_file(folder: Path, body: str) -> str:
    path = folder / "my_gan.py"
    path.write_text("import torch\nfrom torch import nn\n" + body)
    return f"{path}:make_generator"


MODULE = """
def make_generator():
    return nn.Sequential(nn.Linear(7, 48), nn.Unflatten(1, (3, 4, 4)), nn.Tanh())
"""


def test_a_users_file_may_return_a_module(tmp_path: Path) -> None:
    generator: Generator = load_generator(python_file(tmp_path, MODULE))
    assert (generator.latent_dim, generator.resolution) == (7, 4)
    with pytest.raises(UsageError, match="own program decides"):
        load_generator(python_file(tmp_path, MODULE), sampling=Sampling(truncation=0.5))


def test_a_users_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_my_gan.py").write_text("SIZE = 7\n")
    body = "import neighbour_of_my_gan\n" + MODULE.replace("7", "neighbour_of_my_gan.SIZE")
    assert load_generator(python_file(tmp_path, body)).latent_dim == 7


def test_a_users_file_without_its_function(tmp_path: Path) -> None:
    path = python_file(tmp_path, MODULE).removesuffix(":make_generator")
    assert "name the function" in one_line(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("name", ["gan.pt", "gan.ts"])
@pytest.mark.parametrize("traced", [False, True])
def test_torchscript(tmp_path: Path, name: str, traced: bool) -> None:
    network = Network()
    example = torch.zeros(2, LATENT_DIM)
    program = torch.jit.trace(network, example) if traced else torch.jit.script(network)
    program.save(str(tmp_path / name))
    generator = load_generator(tmp_path / name)
    drawn = generator.sample(3, torch.Generator().manual_seed(0))
    assert torch.allclose(generator.generate(drawn), 2 * network(drawn.z) - 1, atol=1e-6)


class Writing(Network):
    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, z: Tensor) -> Tensor:
        torch.save(z, self.target)
        return self.layer(z).reshape(-1, 3, 8, 8)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_that_writes_files_is_refused(tmp_path: Path) -> None:
    path, target = tmp_path / "gan.pt", tmp_path / "owned"
    torch.jit.script(Writing(str(target))).save(str(path))
    assert "reads or writes files" in one_line(path)
    assert not target.exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_damaged_torchscript(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Network()), buffer)
    path = tmp_path / "gan.pt"
    with zipfile.ZipFile(buffer) as whole, zipfile.ZipFile(path, "w") as part:
        for name in whole.namelist():
            if not name.endswith("data.pkl"):
                part.writestr(name, whole.read(name))
    assert re.search("damaged TorchScript", one_line(path))


def test_a_dcgan_from_its_training_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "weights.tar"
    torch.save({"netG_state_dict": dcgan_filled(dcgan_shapes(6, 4, 3)), "netD": {}}, path)
    generator = load_generator(path)
    assert (generator.latent_dim, generator.resolution) == (6, 64)
