"""Features of a frozen vision tower, computed once for each image of a training run.

An image is known by its pixels as the processor gives them, whatever its place in a batch.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from hashlib import blake2b
from types import SimpleNamespace
from typing import Any

import torch

from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.policy.sharded import is_sharded

LIMIT = 1 << 30  # bytes
# Of `get_image_features`: all that its result depends on.
ARGUMENTS = ("pixel_values", "image_grid_thw", "pixel_attention_mask", "image_sizes")
Features = tuple[
    torch.Tensor, ...
]  # of an image: what the language model reads, then Qwen3-VL's deep features


class FeatureCache:
    """Features by the bytes of the image, the least recently used ones dropped first.

    Args:
        limit: bytes of main memory that the features may take.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._size = limit, 0
        self._features: OrderedDict[bytes, Features] = OrderedDict()
        self._stacked = False  # whether the family gives a tensor for all images, or a list
        self._version: object = None

    @contextmanager
    def serving(self, backbone: Any) -> Iterator[None]:
        """While open, `backbone` takes image features from here; as usual where its tower is trained."""
        version = tower_version(backbone)
        if version is None:
            yield
            return
        if version != self._version:  # other weights have been loaded
            self._features.clear()
            self._size, self._version = 0, version
        stock = backbone.get_image_features
        signature = inspect.signature(stock)

        @wraps(stock)  # `generate` looks at the names of its arguments
        def serve(*arguments: Any, **settings: Any) -> SimpleNamespace:
            given = signature.bind(*arguments, **settings).arguments
            return self._serve(
                stock, {name: given[name] for name in ARGUMENTS if given.get(name) is not None}
            )

        with swapped(backbone, "get_image_features", serve):
            yield

    def _serve(self, stock: Callable[..., Any], given: dict[str, torch.Tensor]) -> SimpleNamespace:
        """A backbone's `get_image_features`."""
        images = _images(**given)
        keys = [_digest(image) for image in images]
        found = {key: self._features[key] for key in keys if key in self._features}
        missing = {key: image for key, image in zip(keys, images, strict=True) if key not in found}
        if missing:
            found |= self._compute(stock, missing)
        for key in keys:
            self._keep(key, found[key])
        device = given["pixel_values"].device
        pooled, *deep = zip(*([x.to(device) for x in found[key]] for key in keys), strict=True)
        return SimpleNamespace(
            pooler_output=torch.stack(pooled) if self._stacked else pooled, deepstack_features=deep
        )

    def _compute(
        self, stock: Callable[..., Any], images: dict[bytes, dict[str, torch.Tensor]]
    ) -> dict[bytes, Features]:
        """Each image alone: rounding must not depend on its neighbours, which are others after a resume."""
        found = {}
        for key, image in images.items():
            with torch.no_grad():
                output = stock(**image, return_dict=True)
            self._stacked = isinstance(output.pooler_output, torch.Tensor)
            deep = getattr(output, "deepstack_features", None) or ()
            (own,) = zip(output.pooler_output, *deep, strict=True)
            # Clones: a part of a larger tensor would hold all of it.
            found[key] = tuple(x.detach().cpu().clone() for x in own)
        return found

    def _keep(self, key: bytes, features: Features) -> None:
        if key not in self._features:
            self._size += _bytes(features)
        self._features[key] = features
        self._features.move_to_end(key)
        while self._size > self._limit:
            _, dropped = self._features.popitem(last=False)
            self._size -= _bytes(dropped)


def tower_version(backbone: Any) -> tuple[int, int] | None:
    """Changes when the weights outside the language model do; None where these are trained or drop out."""
    language = {id(part) for part in backbone.get_decoder().modules()}
    parts = [part for part in backbone.modules() if id(part) not in language]
    weights = [weight for part in parts for weight in part.parameters(recurse=False)]
    if any(weight.requires_grad or is_sharded(weight) for weight in weights):
        return None  # sharded ones are gathered in step with other processes, whose images are others
    drops = [
        getattr(part, name, 0)
        for part in parts
        if part.training
        for name in ("p", "dropout", "attention_dropout")
    ]
    if any(isinstance(drop, float) and drop > 0 for drop in drops):
        return None
    return sum(weight._version for weight in weights), sum(weight.data_ptr() for weight in weights)


def _images(
    pixel_values: torch.Tensor,
    image_grid_thw: torch.Tensor | None = None,
    pixel_attention_mask: torch.Tensor | None = None,
    image_sizes: torch.Tensor | None = None,
) -> Sequence[dict[str, torch.Tensor]]:
    """The arguments of `get_image_features` for each image (or tile) alone."""
    if image_grid_thw is not None:  # Qwen: patches, image after image
        parts = torch.split(pixel_values, image_grid_thw.prod(dim=-1).tolist())
        grids = zip(parts, image_grid_thw, strict=True)
        return [{"pixel_values": part, "image_grid_thw": grid[None]} for part, grid in grids]
    if image_sizes is not None:  # LLaVA-NeXT: crops of an image
        sizes = zip(pixel_values, image_sizes, strict=True)
        return [{"pixel_values": image[None], "image_sizes": size[None]} for image, size in sizes]
    if pixel_values.dim() == 4:  # Gemma, LLaVA
        return [{"pixel_values": image[None]} for image in pixel_values]
    tiles = pixel_values.flatten(0, 1)  # SmolVLM: rows of tiles, of which empty ones are padding
    if pixel_attention_mask is None:
        return [{"pixel_values": tile[None, None]} for tile in tiles if tile.any()]
    return [
        {"pixel_values": tile[None, None], "pixel_attention_mask": own[None, None]}
        for tile, own in zip(tiles, pixel_attention_mask.flatten(0, 1), strict=True)
        if tile.any()
    ]


def _digest(image: dict[str, torch.Tensor]) -> bytes:
    digest = blake2b(digest_size=16)
    for name, value in image.items():
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.digest()


def _bytes(features: Features) -> int:
    return sum(x.numel() * x.element_size() for x in features)
