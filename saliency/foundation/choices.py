"""Options whose valid values are the names of an open list, for typed configs.

``Annotated[str, Choice(lambda: REFINERS)]`` is a pydantic field that takes the names that the list
has when a value is checked, so that a name which another package added is valid as well. The help
of the command line says what the list knows about each name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from saliency.foundation.registry import Registry


@dataclass(frozen=True)
class Choice:
    """The valid values of an option.

    Attributes:
        registered: gives the open list.
        others: further values, such as ``auto``.
        only: whether these values alone are valid; otherwise they are examples for the help.
    """

    registered: Callable[[], Registry[Any]]
    others: tuple[str, ...] = ()
    only: bool = True

    def names(self) -> tuple[str, ...]:
        """All valid values, in the order in which messages list them."""
        return (*self.registered(), *self.others)

    def check(self, value: Any) -> Any:
        """The value, if it is valid.

        Raises:
            ValueError: it is not; the message lists the valid ones.
        """
        if self.only and value not in self.others and value not in self.registered():
            raise ValueError(f"unknown; valid: {', '.join(self.names())}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """As pydantic asks for it."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], Any]) -> Any:
        """The JSON schema of the field, with the valid values, for descriptions of the options."""
        described = handler(schema)
        return described | {"enum": list(self.names())} if self.only else described
