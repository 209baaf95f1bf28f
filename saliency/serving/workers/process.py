"""A worker process: photos come in by one pipe, cut-outs go out by another, until the first ends.

It is started as ``python -c`` rather than by ``multiprocessing``, so that the server can wait for
it without threads, and so that it ends by itself when the server is gone, however that went.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import IO, Any

from saliency.foundation.errors import SaliencyError
from saliency.serving.workers.frames import Frame, read_frame, write_frame


def command(settings: dict[str, Any]) -> list[str]:
    """The command line of a worker that imports what this process does.

    Args:
        settings: see :func:`main`.
    """
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        f"sys.path[:] = {sys.path!r}; "
        "from saliency.serving.workers.process import main; main(sys.argv[1])"
    )
    return [sys.executable, "-c", code, json.dumps(settings)]


def main(text: str) -> None:
    """Work until the server closes the pipe.

    Args:
        text: JSON: ``model``, a segmenter's name or folder; ``device``, a name or null;
            ``threads``; ``max_pixels``.
    """
    # a signal to the whole group is the server's: it lets its workers finish
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    questions, answers = sys.stdin.buffer, _own_stdout()
    settings = json.loads(text)
    try:
        write_frame(answers, _prepare(settings))
        while True:
            frame = read_frame(questions)
            write_frame(answers, _answer(frame, settings))
            del frame
    except (EOFError, BrokenPipeError):
        sys.stderr.flush()
        os._exit(0)  # PyTorch takes seconds to unload, and nothing is left to be written


def _own_stdout() -> IO[bytes]:
    """The pipe for answers; what libraries print goes to stderr instead."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _prepare(settings: dict[str, Any]) -> Frame:
    """Load the segmenter and use it once, which takes longer than any later time."""
    try:
        import cv2
        import torch

        from saliency.serving.workers.jobs import warm_up

        # of the environment's OMP_NUM_THREADS, too, no more than it says
        threads = min(settings["threads"], torch.get_num_threads())
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        warm_up(settings["model"], settings["device"])
    except SaliencyError as error:
        return Frame({"error": str(error)})
    return Frame({"device": "cuda" if torch.cuda.is_available() else "cpu"})


def _answer(frame: Frame, settings: dict[str, Any]) -> Frame:
    """The cut-out, or a status and what to tell the client."""
    from saliency.serving.workers.jobs import Job, TooLargeError, perform

    try:
        return perform(Job(**frame.header), frame.blobs, settings["device"], settings["max_pixels"])
    except TooLargeError as error:
        return Frame({"status": 413, "error": str(error)})
    except SaliencyError as error:
        return Frame({"status": 400, "error": str(error)})
    except MemoryError:
        return Frame({"status": 503, "error": "not enough memory for this photo at the moment"})
    except Exception as error:
        if _out_of_memory(error):
            return Frame({"status": 503, "error": "not enough memory for this photo at the moment"})
        traceback.print_exc()
        return Frame({"status": 500, "error": "an error of the server; its log says more"})


def _out_of_memory(error: Exception) -> bool:
    """Whether PyTorch or OpenCV ran out of memory, which each says in words of its own."""
    text = str(error).lower()
    return "out of memory" in text or "insufficient memory" in text or "can't allocate" in text
