"""The server's interface, for programs (OpenAPI 3.1) and as a page for people."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from data.config import code_version
from saliency.serving.options import RemoveOptions
from saliency.serving.settings import ServeSettings

ANSWERS = {
    200: "The cut-out (or mask), a PNG. X-Confidence in [0, 1] ranks photos: low ones want a look.",
    400: "Not a photo, a damaged one, or an option that cannot be; the message says which.",
    403: "An address that is not fetched.",
    408: "The photo did not arrive in time.",
    413: "Too many bytes or pixels.",
    429: "Too many requests at a time; Retry-After says when to ask again.",
    503: "No worker became free in time, or it died; Retry-After says when to ask again.",
    504: "The photo took too long.",
}


def openapi(settings: ServeSettings, served: list[str]) -> dict[str, Any]:
    """The OpenAPI document.

    Args:
        settings: of the server.
        served: names of its segmenters, the default first.
    """
    options = _options(served)
    query = [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description", ""),
            "schema": schema,
        }
        for name, schema in _options(served).items()
    ]
    url = {"name": "url", "in": "query", "required": True, "schema": {"type": "string"}}
    file = {"type": "string", "format": "binary"}
    options["background"] = {"oneOf": [options["background"], file]}
    form = {"type": "object", "properties": {"file": file, **options}, "required": ["file"]}
    limits = f"{settings.max_megabytes:g} MB and {settings.max_megapixels:g} megapixels at most"
    post = {
        "summary": "Cut out a photo that is sent",
        "description": f"As the body, or as `file` of a form; {limits}.",
        "parameters": query,
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}, "image/*": {"schema": file}},
        },
        "responses": _responses(),
    }
    get = {
        "summary": "Cut out a photo at a public address",
        "description": "Only where the server runs with --allow-urls.",
        "parameters": [url, *query],
        "responses": _responses(),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Latent Saliency", "version": code_version()},
        "paths": {
            "/api/remove": {"post": post, "get": get},
            "/health": {"get": _plain("Whether the server works, and its limits")},
            "/metrics": {"get": _plain("Counters in the text format of Prometheus")},
        },
    }


def reference_page(settings: ServeSettings, served: list[str]) -> str:
    """The same as an HTML page without scripts."""
    document = openapi(settings, served)
    post = document["paths"]["/api/remove"]["post"]
    rows = "\n".join(
        f"<tr><th scope=row><code>{parameter['name']}</code></th>"
        f"<td>{escape(_values(parameter['schema']))}</td>"
        f"<td>{escape(parameter['description'])}</td></tr>"
        for parameter in post["parameters"]
    )
    answers = "\n".join(
        f"<tr><th scope=row>{status}</th><td>{escape(text)}</td></tr>"
        for status, text in ANSWERS.items()
    )
    page = files("saliency.serving.page").joinpath("api.html").read_text(encoding="utf-8")
    return Template(page).substitute(
        version=escape(code_version()),
        description=escape(post["description"]),
        rows=rows,
        answers=answers,
        urls="on" if settings.allow_urls else "off",
    )


def _options(served: list[str]) -> dict[str, dict[str, Any]]:
    """JSON schema of each option."""
    schemas: dict[str, dict[str, Any]] = RemoveOptions.model_json_schema()["properties"]
    for schema in schemas.values():
        schema.pop("title", None)
        if schema.get("default", 0) is None:
            del schema["default"]
        if "anyOf" in schema:  # what may be left out needs no null
            (kind,) = [each for each in schema.pop("anyOf") if each != {"type": "null"}]
            schema.update(kind)
    schemas["model"] |= {"examples": served, "default": served[0]}
    return schemas


def _values(schema: dict[str, Any]) -> str:
    """What an option may be, in words."""
    if "enum" in schema:
        text = ", ".join(schema["enum"])
    elif "examples" in schema:
        text = ", ".join(schema["examples"])
    else:
        text = str(schema["type"])
    default = schema.get("default")
    shown = str(default).lower() if isinstance(default, bool) else default
    return text if default is None else f"{text}; default {shown}"


def _responses() -> dict[str, Any]:
    error = {"type": "object", "properties": {"error": {"type": "string"}}}
    responses: dict[str, Any] = {}
    for status, text in ANSWERS.items():
        content = {"application/json": {"schema": error}} if status != 200 else {"image/png": {}}
        responses[str(status)] = {"description": text, "content": content}
    return responses


def _plain(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "OK"}}}
