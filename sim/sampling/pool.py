"""The images of a layer that a sampled step looks at, made when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workloads.layer_images import LayerImages, join_images, keep_images, select_images
from workloads.operands import Operands


class ImagePool:
    """Makes images of one layer once and keeps them."""

    def __init__(self, layer: LayerImages) -> None:
        self._layer = layer
        self._places: dict[int, int] = {}
        self._known: Operands | None = None
        self._whole: ImagePool | None = self if layer.has_all else None

    @property
    def images(self) -> tuple[int, ...]:
        """The images that were made, in that order."""
        return tuple(self._places)

    def complete(self) -> ImagePool:
        """Give a pool of the whole batch, with what follows from it as a whole: the full run's threshold of pruning."""
        if self._whole is None:
            self._whole = ImagePool(keep_images(self._layer.make(None)))
        return self._whole

    def take(self, images: Sequence[int]) -> Operands:
        """Give the operands of some images, in the order asked for."""
        if self._layer.has_all:
            return self._layer.make(images)
        self.prepare(images)
        assert self._known is not None
        return select_images(self._known, [self._places[image] for image in images])

    def prepare(self, images: Iterable[int]) -> None:
        """Make what is missing of some images, which is best done for many at a time."""
        missing = [] if self._layer.has_all else sorted(set(images) - self._places.keys())
        if missing:
            made = self._layer.make(missing)
            self._known = made if self._known is None else join_images(self._known, made)
            self._places |= {image: len(self._places) + place for place, image in enumerate(missing)}
