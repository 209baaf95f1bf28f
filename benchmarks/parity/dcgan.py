"""DCGAN against the generator of PyTorch's examples, with the same random weights.

The tutorial's class is the one of `pytorch/examples`, whose file starts a training when imported;
its `Generator` alone is therefore taken out of the file and run. Any checkout works that has the
tutorial's generator in one file: `dcgan/main.py` of pytorch/examples, `cifar10_dcgan/dcgan.py` of
csinva/gan-vae-pretrained-pytorch, or `gan_face_generate/models.py` of the unpacked PyPI wheel.

    git clone https://github.com/pytorch/examples /tmp/examples
    python benchmarks/parity/dcgan.py --their-code /tmp/examples
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

import torch
from side_by_side import arguments, compare, ours, randomise
from torch import nn

from directions.generators.families.dcgan import DCGAN

FILES = (
    "dcgan/main.py",
    "cifar10_dcgan/dcgan.py",
    "gan_face_generate/models.py",
)
SIZES = {"ngpu": 1, "nc": 3, "nz": 20, "ngf": 16}


def their_class(path: Path) -> type[nn.Module]:
    """The class `Generator` of a file, without running the rest of the file."""
    tree = ast.parse(path.read_text())
    chosen = [node for node in tree.body if getattr(node, "name", "") == "Generator"]
    scope: dict[str, Any] = {"nn": nn, "torch": torch, "Tensor": torch.Tensor, **SIZES}
    exec(compile(ast.Module(chosen, []), str(path), "exec"), scope)
    found: type[nn.Module] = scope["Generator"]
    return found


def main() -> int:
    folder = arguments(__doc__, "https://github.com/pytorch/examples")
    agreed = []
    for path in (folder / name for name in FILES):
        if not path.exists():
            continue
        made = their_class(path)
        known = inspect.signature(made).parameters
        torch.manual_seed(0)
        theirs = randomise(made(**{name: SIZES[name] for name in SIZES if name in known}))
        mine = ours(DCGAN, theirs.state_dict())
        z = torch.randn(8, theirs.state_dict()["main.0.weight"].shape[0])
        with torch.no_grad():
            agreed.append(compare(str(path), [(theirs(z[:, :, None, None]), mine(z))]))
    if not agreed:
        raise SystemExit(f"--their-code {folder}: none of {', '.join(FILES)} in it")
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
