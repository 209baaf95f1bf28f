"""The photo in a request's body: raw, or a form's file; in memory only, and of a bounded size."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from saliency.serving.limits import Refused

FIELDS = 32
FIELD_BYTES = 4096
FILES = 2


@dataclass(frozen=True)
class Body:
    """What a request brought.

    Attributes:
        photo: content of its file.
        picture: that of the background's, if one came.
        fields: options.
    """

    photo: bytes
    picture: bytes | None
    fields: dict[str, str]


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 62
    """Beyond which parts would go to a file: never, since the whole body is bounded."""


async def read_body(request: Request, max_bytes: int) -> Body:
    """Read a request's photo.

    Args:
        request: with a multipart form, or with the photo's file as its body.
        max_bytes: reading stops beyond so many.

    Raises:
        Refused: too long, empty, or not a form although it says so.
    """
    stream = _bounded(request, max_bytes)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _from_form(request, stream)
    content = bytearray()
    async for chunk in stream:
        content += chunk
    if not content:
        raise Refused(400, "no photo; send it as the body, or as `file` of a multipart form")
    return Body(bytes(content), None, {})


async def _from_form(request: Request, stream: AsyncGenerator[bytes, None]) -> Body:
    parser = _InMemory(
        request.headers, stream, max_files=FILES, max_fields=FIELDS, max_part_size=FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(400, f"not a form that can be read ({error.message})") from None
    files: dict[str, bytes] = {}
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
        else:
            fields[name] = value
    await form.close()
    unknown = sorted(files.keys() - {"file", "background"})
    if unknown:
        raise Refused(400, f"file {unknown[0]!r:.40}: unknown; valid are file and background")
    if not files.get("file"):
        raise Refused(400, "no photo; send it as `file` of the form")
    return Body(files["file"], files.get("background") or None, fields)


async def _bounded(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_bytes:
            raise too_long(max_bytes)
        yield chunk


def too_long(max_bytes: int) -> Refused:
    """For a body of too many bytes."""
    return Refused(413, f"the photo's file is too large; at most {max_bytes / 1e6:g} MB are taken")
