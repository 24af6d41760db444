"""Extensions by name: those that ship with the project, and those that installed packages register as entry points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from workloads.errors import InputError

ExtensionT = TypeVar("ExtensionT")


def take_none(_: type[Any]) -> tuple[object, ...]:
    """Give no arguments."""
    return ()


@dataclass(frozen=True, eq=False)
class ExtensionPoint(Generic[ExtensionT]):
    """A kind of extension: a group of entry points, each of which names a class.

    Attributes:
        noun: What one is called in messages.
        built_in: The shipped ones, name to ``module:Class``, which need no entry point, are found without looking at
            what is installed, and whose names no package can take.
        base: The class that each is derived from; by default any class will do, as where a protocol says what is asked.
    """

    group: str
    noun: str
    built_in: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    base: type[Any] = object

    def names(self) -> tuple[str, ...]:
        """Name every registered extension, the shipped ones in their order, then those of packages, sorted."""
        return (*self.built_in, *sorted({point.name for point in entry_points(group=self.group)} - {*self.built_in}))

    def is_registered(self, name: str) -> bool:
        """Tell whether something stands under a name, without loading it."""
        return name in self.built_in or bool(entry_points(group=self.group, name=name))

    def load(self, name: str) -> type[ExtensionT]:
        """Import the class registered as `name`.

        Raises:
            InputError: nothing is registered under that name, two packages claim it, its module cannot be loaded, or
                it names no class of this kind.
        """
        return self._load(self._find(name))

    def make(
        self, name: str, choose_arguments: Callable[[type[ExtensionT]], tuple[object, ...]] = take_none
    ) -> ExtensionT:
        """Make the extension registered as `name`.

        Args:
            choose_arguments: Gives what its class takes.

        Raises:
            InputError: as `load`, or the class cannot be made.
        """
        point = self._find(name)
        loaded = self._load(point)
        arguments = choose_arguments(loaded)
        try:
            return loaded(*arguments)
        except Exception as error:
            raise self._failure(point, error) from error

    def providers(self, name: str) -> tuple[str, ...]:
        """Give ``module:Class/package/version`` of whatever registers `name`, sorted; nothing for what ships."""
        points = () if name in self.built_in else entry_points(group=self.group, name=name)
        found = sorted(
            (point.value, point.dist.name if point.dist else "", point.dist.version if point.dist else "")
            for point in points
        )
        return tuple("/".join(parts) for parts in found)

    def _find(self, name: str) -> EntryPoint:
        if name in self.built_in:
            return EntryPoint(name, self.built_in[name], self.group)
        points = {point.value: point for point in entry_points(group=self.group, name=name)}
        if not points:
            raise InputError(f"unknown {self.noun} {name!r}; registered are {', '.join(self.names())}")
        if len(points) > 1:
            raise InputError(
                f"the {self.noun} name {name!r} is claimed by {' and '.join(sorted(points))}; uninstall one"
            )
        (point,) = points.values()
        return point

    def _load(self, point: EntryPoint) -> type[ExtensionT]:
        try:
            loaded: Any = point.load()
        except Exception as error:
            raise self._failure(point, error) from error
        if self.base is not object and not (isinstance(loaded, type) and issubclass(loaded, self.base)):
            raise InputError(f"the {self.noun} {point.name!r} ({point.value}) is no subclass of {self.base.__name__}")
        return cast("type[ExtensionT]", loaded)

    def _failure(self, point: EntryPoint, error: Exception) -> InputError:
        return InputError(f"the {self.noun} {point.name!r} ({point.value}) cannot be loaded: {error}")
