"""What finished layers made of a fixed set of batches, on disk, so that it is computed once and not at every step."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from seqff.errors import RunError
from seqff.relation import Relation
from seqff.training.batches import Example

STORED = torch.bfloat16


class ActivationCache:
    """A folder with the input of one layer for every batch of the set: a safetensors file a batch, bfloat16.

    A context manager: the folder is empty at its start and gone after it.

    Args:
        folder: where it lies; what is there is deleted.
        count: batches in the set.

    Attributes:
        level: the layer (0 is the lowest) whose inputs it holds; 0 when it holds nothing yet.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count, self.level = folder, count, 0

    def __enter__(self) -> ActivationCache:
        shutil.rmtree(self.folder, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, level: int, examples: Iterator[Example]) -> None:
        """Replace what it holds by the inputs of another layer.

        Args:
            level: that layer.
            examples: `count` batches; the old content can be read until the last one has come.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        kind, device = torch.float32, torch.device("cpu")
        for number, (h, relation) in enumerate(examples):
            self._write(level, number, save(_pack(h, relation)))
            kind, device = h.dtype, h.device
        shutil.rmtree(self._level(self.level), ignore_errors=True)
        self.level, self.kind, self.device = level, kind, device

    def read(self, number: int) -> Example:
        """Return a batch, (N, C, H, W) in the dtype, layout and on the device it was made in, and its relation."""
        stored = load_file(self._level(self.level) / f"{number:06d}.safetensors")
        h = stored.pop("h").to(self.device, non_blocking=True).to(self.kind)
        return h.movedim(-1, 1), Relation(**stored).to(self.device)

    def _write(self, level: int, number: int, content: bytes) -> None:
        folder = self._level(level)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if number == 0 and len(content) * self.count > free:
                raise RunError(
                    f"{folder}: {self.count} batches of activations take {len(content) * self.count / 1e9:.1f} GB, and "
                    f"{free / 1e9:.1f} GB are free: lower greedy_cache, or leave it out"
                )
            (folder / f"{number:06d}.safetensors").write_bytes(content)
        except OSError as error:
            raise RunError(f"{folder}: the cache of activations cannot be written ({error.strerror})") from error

    def _level(self, level: int) -> Path:
        return self.folder / f"level_{level}"


def _pack(h: Tensor, relation: Relation) -> dict[str, Tensor]:
    """Name the tensors of a batch; channels last, as the layers work."""
    tensors = {field.name: getattr(relation, field.name) for field in dataclasses.fields(relation)}
    tensors["h"] = h.to(STORED).movedim(1, -1)
    return {name: value.cpu().contiguous() for name, value in tensors.items() if value is not None}
