"""One typed config per stage, shared by command line, TOML files, Python API and metadata."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.toml_text import read_toml
from saliency.foundation.errors import UsageError

DISTRIBUTION = "latent-saliency"


def code_version() -> str:
    """Version of the installed distribution, or ``"source"`` when it runs uninstalled."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "source"


class StageConfig(BaseModel):
    """Base of the stages' configs: frozen, strict about names, errors that list what is valid.

    A field's ``description`` is its help on the command line. A field declared with
    ``json_schema_extra={"runtime": True}`` (workers, device) does not decide the artifact's
    content and stays out of :meth:`settings`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, **values: Any) -> None:
        """Validate the fields.

        Raises:
            UsageError: an unknown name or an impossible value, with what would be valid.
        """
        with self._usage_errors():
            super().__init__(**values)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse: a config stays as it was checked.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"`{name}` {value}: a config is not changed; make another one")

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As of pydantic, with the errors of :meth:`build`."""
        with cls._usage_errors():
            return super().model_validate(obj, **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As of pydantic, with the errors of :meth:`build`."""
        with cls._usage_errors():
            return super().model_validate_json(json_data, **options)

    @classmethod
    @contextmanager
    def _usage_errors(cls) -> Iterator[None]:
        """pydantic's errors as ours."""
        try:
            yield
        except ValidationError as error:
            reasons = "; ".join(cls._explain(problem) for problem in error.errors())
            raise UsageError(reasons) from None

    @classmethod
    def build(cls, values: dict[str, Any], source: str = "") -> Self:
        """Validate ``values``.

        Args:
            values: field name to value.
            source: prefix of error messages, for instance the TOML file's name.

        Raises:
            UsageError: an unknown name or an impossible value, with what would be valid.
        """
        try:
            return cls(**values)
        except UsageError as error:
            raise UsageError(f"{source}: {error}" if source else str(error)) from None

    @classmethod
    def _explain(cls, problem: Any) -> str:
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            return f"{name}: unknown; valid: {', '.join(cls.model_fields)}"
        message: str = problem["msg"].removeprefix("Value error, ")
        message = message.replace("Input should", "must")
        if not name:  # a rule about several options says itself which
            return message
        return f"`{name}` {problem['input']}: {message}"

    @classmethod
    def read_toml(cls, path: Path | str) -> dict[str, Any]:
        """Values of a TOML file, checked against the fields' names.

        Raises:
            UsageError: missing or unreadable file, not TOML, or an unknown key.
        """
        values = read_toml(path, f"`config` {path}")
        values = {name.replace("-", "_"): value for name, value in values.items()}
        unknown = sorted(values.keys() - cls.model_fields.keys())
        if unknown:
            raise UsageError(
                f"`config` {path}: unknown {', '.join(unknown)}; "
                f"valid: {', '.join(cls.model_fields)}"
            )
        return values

    def settings(self) -> dict[str, Any]:
        """The JSON-able settings that decide what the stage makes."""
        runtime = {
            name
            for name, field in type(self).model_fields.items()
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("runtime")
        }
        return self.model_dump(mode="json", exclude=runtime)


class SamplingConfig(StageConfig):
    """Options of every stage that draws from a generator; left out, they leave no trace."""

    classes: str | None = Field(
        None,
        description="classes of a class-conditional generator: indices, ranges, names or a list "
        "file, separated by commas; default: all",
    )
    truncation: float | None = Field(
        None, gt=0, description="truncation of the latents; default: the generator's own"
    )
    space: Literal["z", "w"] | None = Field(
        None, description="latent space of the shifts; default: the generator's own"
    )

    def settings(self) -> dict[str, Any]:
        """As of :class:`StageConfig`; what is not given does not appear."""
        absent = {name for name in SamplingConfig.model_fields if getattr(self, name) is None}
        return {name: value for name, value in super().settings().items() if name not in absent}
