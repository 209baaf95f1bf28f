"""`saliency serve`: cut-outs over HTTP, and a page for them."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from typing import Any

NEEDED = ("h11", "python_multipart", "starlette", "uvicorn")
EPILOG = """\
The page is at /, its description for programs at /api and /openapi.json; /health and /metrics are
for whoever watches over the server. Nothing is written to disk. Ctrl-C and SIGTERM let it finish
what it has accepted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from saliency.serving.settings import ServeSettings

    parser.epilog = f"{EPILOG} {parser.epilog or ''}"
    for name, field in ServeSettings.model_fields.items():
        option = "--" + name.replace("_", "-")
        described = field.description or ""
        if name == "allow_urls":
            parser.add_argument(option, action="store_true", help=described)
        elif name == "cors":
            parser.add_argument(
                option, action="append", metavar="ORIGIN", default=[], help=described
            )
        else:
            default = "" if field.default is None else f" (default: {field.default})"
            parser.add_argument(
                option,
                default=argparse.SUPPRESS,
                metavar={"model": "DIR", "host": "ADDRESS", "device": "DEVICE"}.get(name, "N"),
                help=described + default,
            )


def run(arguments: argparse.Namespace) -> int:
    """Run the command until it is stopped; exit status 0."""
    from saliency.foundation.errors import UsageError
    from saliency.serving.settings import ServeSettings

    given: dict[str, Any] = vars(arguments)
    values = {name: given[name] for name in ServeSettings.model_fields if name in given}
    settings = ServeSettings.build(values)
    for name in NEEDED:
        if find_spec(name) is None:
            raise UsageError(
                f'saliency serve needs {name}; pip install "latent-saliency[serve]" brings it'
            )
    from saliency.serving.running import serve

    serve(settings)
    return 0
