"""A worker process without a network, which does what the photo says: for tests of the pool.

``sleep 0.5`` waits, ``die`` ends it, ``die once PATH`` ends the first that is asked; anything else
comes back as it is.
"""

import os
import sys
import time
from pathlib import Path

from saliency.serving.workers.frames import Frame, read_frame, write_frame

COMMAND = [sys.executable, __file__]


def answer(order: str) -> None:
    word, _, rest = order.partition(" ")
    if word == "sleep":
        time.sleep(float(rest))
    if word == "die":
        path = rest.removeprefix("once ")
        if not path or not Path(path).exists():
            if path:
                Path(path).touch()
            os._exit(9)


def main() -> None:
    write_frame(sys.stdout.buffer, Frame({"device": "cpu"}))
    while True:
        try:
            photo = read_frame(sys.stdin.buffer).blobs[0]
        except EOFError:
            return
        answer(photo.decode(errors="replace"))
        header = {"confidence": 0.5, "width": 1, "height": 1}
        write_frame(sys.stdout.buffer, Frame(header, [photo]))


if __name__ == "__main__":
    main()
