"""Hostile files in place of what the stages hand to one another."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hostile.archives import Evil, archives, programs
from hostile.cases import Case, Made, write
from hostile.shards import labels, pairs
from hostile.tensors import segmenters, tensor_files

MARKER = "CODE-WAS-RUN"
"""Folder that hostile code would make."""


def artifacts(folder: Path, rng: np.random.Generator, share: float = 1.0) -> list[Case]:
    """Write them into ``folder``, one subfolder a case; ``share`` of them, chosen at random."""
    cases = []
    chosen = np.random.default_rng(0)
    for number, (kind, name, place, content, sound) in enumerate(_contents(folder, rng)):
        if chosen.random() >= share:
            continue
        path = folder / f"{number:04d}" / place
        if isinstance(content, bytes):
            write(path, content)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            content(path)
        cases.append(Case(kind, name, str(path), sound))
    return cases


def _contents(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    marker = folder / MARKER
    for name, place, content in _pickles(marker):
        yield "file", name, place, content, False
    for name, place, content in (*_texts(), *archives(marker), *programs(marker)):
        yield "file", name, place, content, False
    yield from tensor_files(rng)
    yield from segmenters()
    yield from pairs(rng)
    yield from labels(rng)
    for name, state in _states().items():
        yield "training", name, "run/checkpoint.pt", _saver(state), False


def _pickles(marker: Path) -> Iterator[tuple[str, str, bytes]]:
    evil = Evil(marker)
    tensors = {"weight": torch.zeros(2, 2)}
    for name in ("a.pt", "a.pth", "a.bin", "a.tar", "a.pkl", "a.safetensors", "a.npy", "a.json"):
        yield "pickle", name, pickle.dumps(evil, protocol=2)
        for form, content in (("zip", True), ("before-zip", False)):
            buffer = io.BytesIO()
            torch.save({**tensors, "evil": evil}, buffer, _use_new_zipfile_serialization=content)
            yield f"pickle-{form}", name, buffer.getvalue()
    array = io.BytesIO()
    np.save(array, np.array([evil], dtype=object), allow_pickle=True)
    yield "pickle-npy", "a.npy", array.getvalue()
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    yield "pickle-deep", "a.pt", deep
    yield "pickle-long", "a.pkl", b"\x80\x02X" + (2**31 - 1).to_bytes(4, "little") + b"x."
    yield "pickle-memo", "a.pkl", b"\x80\x02Nr\xff\xff\xff\x7f."


def _texts() -> Iterator[tuple[str, str, bytes]]:
    documents = {
        "deep": "[" * 200_000,
        "deep-closed": "[" * 100_000 + "]" * 100_000,
        "deep-object": '{"a":' * 100_000,
        "nan": "NaN",
        "infinite": '{"a": Infinity, "settings": {}, "stage": -Infinity}',
        "digits": "1" * 100_000,
        "exponent": "1e999999",
        "null": "null",
        "list": "[1, 2]",
        "number": "3",
        "string": '"config"',
        "surrogate": '{"photo": "\\ud800"}',
        "twice": '{"a": 1, "a": 2}',
        "cut": '{"a": [1, 2',
        "empty": "",
        "nul": "\0" * 100,
        "score": json.dumps({"protocol": "../../x", "protocol_settings": 1, "benchmark": None,
                             "fingerprint": 3, "images": -1, "metrics": []}),
    }  # fmt: skip
    for name, text in documents.items():
        yield f"json-{name}", "a.json", text.encode()
    tomls = {
        "unknown": "colour = 3", "types": 'count = "many"\nseed = []\nsize = {}',
        "deep": "a = " + "[" * 100_000, "digits": "seed = " + "9" * 100_000,
        "dotted": ".".join("a" * 5000) + " = 1", "nan": "magnitude = nan\nmin_area = inf",
        "dates": "count = 1979-05-27", "tables": "[discover]\nsteps = 'x'\n[train]\n[[synth]]",
        "not-text": "\udcff", "title": "title = 3\n[train]\nsize = 33",
        "section": "train = 3", "nested": "[train.train.train]\na = 1",
    }  # fmt: skip
    for name, text in tomls.items():
        yield f"toml-{name}", "a.toml", text.encode("utf-8", "surrogateescape")
    lists = {"huge": "9" * 5000, "range": "5-1", "endless": "0-" + "9" * 30,
             "names": "dog\ncat\n" * 1000, "binary": "\0\1\2", "comment": "#"}  # fmt: skip
    for name, classes in lists.items():
        yield f"classes-{name}", "a.txt", classes.encode()


def _states() -> dict[str, Any]:
    """Checkpoints in a segmenter's output folder, none of which fits."""
    return {
        "checkpoint-empty": {},
        "checkpoint-list": [1, 2],
        "checkpoint-tensor": torch.zeros(3),
        "checkpoint-other": {"network": {"a": torch.zeros(3)}, "adam": {}, "schedule": {},
                             "step_number": 0, "best": {}},
        "checkpoint-types": {"network": 3, "adam": None, "schedule": [], "step_number": "x",
                             "best": 0},
    }  # fmt: skip


def _saver(state: Any) -> Callable[[Path], object]:
    return lambda path: torch.save(state, path)
