"""Open lists: the things of one kind by name, to which other packages add theirs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, Protocol, TypeVar

from saliency.foundation.errors import InputError, SkippedWarning, UsageError


class Named(Protocol):
    """A thing that knows its name."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Mapping[str, T], Generic[T]):
    """All things of one kind by name, in the order in which they were added.

    Another package adds a thing by one call of :meth:`register`. It can also name the thing as an
    entry point; then nothing of it has to be imported first::

        [project.entry-points."latent_saliency.metrics"]
        specificity = "my_package.scores:SPECIFICITY"

    Entry points are loaded when somebody first asks which names there are, or asks for a name that
    is not there yet. One that cannot be loaded is left out with a warning that names it.

    Args:
        kind: the class of the things. In messages, the words of its name are what they are called,
            for instance ``mask rule`` for ``MaskRule``.
        group: the group of entry points.
        things: those that are there from the beginning.
        option: the parameter that takes such a name; by default it is called as the things are.
        reserved: other values of that parameter, which no thing can have as its name.
    """

    def __init__(
        self,
        kind: type[T],
        group: str,
        things: Sequence[T] = (),
        *,
        option: str | None = None,
        reserved: Sequence[str] = (),
    ) -> None:
        self.kind, self.group, self.reserved = kind, group, tuple(reserved)
        self.option = option or self.label.replace(" ", "_")
        self._things = {thing.name: thing for thing in things}
        self._complete = False

    @property
    def label(self) -> str:
        """What one of the things is called in messages, for instance ``metric``."""
        return re.sub(r"\B([A-Z])", r" \1", self.kind.__name__).lower()

    def register(self, thing: T) -> T:
        """Add a thing under its own name.

        Args:
            thing: its ``name`` has letters, digits, ``_`` and ``-`` only.

        Returns:
            The thing itself.

        Raises:
            InputError: it is of another class, the name has other characters, or the name is
                reserved or that of a thing that is not equal to this one.
        """
        if not isinstance(thing, self.kind):
            raise InputError(
                f"{thing!r} is not a {self.label}: an object of {self.kind.__module__}."
                f"{self.kind.__qualname__} is needed"
            )
        if not re.fullmatch(r"[\w-]+", thing.name):
            raise InputError(
                f"{self.label} {thing.name!r}: the name must consist of letters, digits, _ and -"
            )
        if thing.name in self.reserved:
            raise InputError(
                f"{self.label} {thing.name!r}: this word has a meaning of its own for "
                f"`{self.option}`; choose another name"
            )
        if self._things.get(thing.name, thing) != thing:
            raise InputError(
                f"{self.label} {thing.name!r}: there is one of that name already; choose another "
                "name"
            )
        self._things[thing.name] = thing
        return thing

    def unregister(self, name: str) -> None:
        """Take a thing out again, for instance after a test.

        Raises:
            KeyError: there is none of that name.
        """
        del self._things[name]

    def find(self, name: str) -> T:
        """The thing of that name.

        Raises:
            UsageError: there is none; the message lists the valid names.
        """
        try:
            return self[name]
        except KeyError:
            raise UsageError(
                f"`{self.option}` {name!r}: unknown; valid: {', '.join(self)}"
            ) from None

    def explained(self) -> str:
        """All names, each with its thing's ``summary`` if it has one, for help texts.

        Returns:
            For instance ``iou: cross-entropy and soft IoU; bce: cross-entropy alone``.
        """
        summaries = {name: getattr(thing, "summary", "") for name, thing in self.items()}
        return "; ".join(f"{name}: {text}" if text else name for name, text in summaries.items())

    def __contains__(self, name: object) -> bool:
        """Whether there is a thing of that name; what is no text is the name of nothing."""
        return isinstance(name, str) and super().__contains__(name)

    def __getitem__(self, name: str) -> T:
        if name not in self._things:
            self._load()
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(tuple(self._things))

    def __len__(self) -> int:
        self._load()
        return len(self._things)

    def _load(self) -> None:
        """Add the entry points of installed packages, once."""
        if self._complete:
            return
        self._complete = True
        for entry in entry_points(group=self.group):
            try:
                self.register(entry.load())
            except Exception as error:  # whatever somebody's module raises when it is imported
                reason = f"{type(error).__name__}: {error}"
                warnings.warn(
                    f"{self.label} {entry.name!r} of {_package(entry)}: {reason}",
                    SkippedWarning,
                    stacklevel=2,
                )


def _package(entry: EntryPoint) -> str:
    """The installed package that an entry point comes from."""
    return "an unknown package" if entry.dist is None else str(entry.dist.name)
