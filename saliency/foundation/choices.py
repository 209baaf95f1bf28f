"""Options whose valid values are the names of an open list, for typed configs.

``Annotated[str, Choice(lambda: REFINERS)]`` is a pydantic field that takes the names that the list
has when a value is checked, so that a name which another package added is valid as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """The valid values of an option.

    Attributes:
        registered: gives the names of an open list.
        others: further values, such as ``none``.
    """

    registered: Callable[[], Iterable[str]]
    others: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """All valid values, in the order in which messages list them."""
        return (*self.registered(), *self.others)

    def check(self, value: str) -> str:
        """The value, if it is valid.

        Raises:
            ValueError: it is not; the message lists the valid ones.
        """
        if value not in self.names():
            raise ValueError(f"unknown; valid: {', '.join(self.names())}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """As pydantic asks for it."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.check, handler(source))
