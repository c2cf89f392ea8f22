"""The array of frames in a .npz: unpacked as it is read, so that a small file cannot fill the memory."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 2**30  # unpacked as a whole, where an array does not lie frame by frame
_BLOCK_BYTES = 2**22


def parse_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Reads the header of a .npy.

    Returns:
        The shape, whether it lies in the order of Fortran, and the type.

    Raises:
        ValueError: it is damaged.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if not all(type(side) is int for side in shape):
            raise ValueError(f"shape {shape}")
    except Exception as error:  # the parser of Python's literals raises many kinds
        raise ValueError(f"not the header of an array: {str(error) or type(error).__name__:.200}") from error
    return shape, fortran, dtype


class PackedFrames:
    """Frames of an array within a .npz, one after another; going back begins anew.

    Args:
        path: the file.
        name: of the array in it.
        beat: called again and again while it is unpacked.

    Attributes:
        shape: of the array.
        dtype: of the array.

    Raises:
        ValueError: it is damaged, or larger than may be unpacked at once.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, name: str, beat: Callable[[], None] = lambda: None) -> None:
        self._path, self._name, self._beat = path, name, beat
        self._file: IO[bytes] | None = None
        self._open()
        self._whole: NDArray[Any] | None = None
        if self._fortran:
            count = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
            if count > _MOST_BYTES:
                raise ValueError(f"{count} bytes in the order of Fortran are too many to unpack: save them as .npy")
            flat = np.frombuffer(self._read(count), self.dtype)
            self._whole = flat.reshape(self.shape[::-1]).transpose()

    @property
    def ndim(self) -> int:
        """How many sides the array has."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> NDArray[Any]:
        if self._whole is not None:
            return np.ascontiguousarray(self._whole[index])
        if index < self._next or self._file is None:
            self._open()
        size = int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize
        while self._next < index:
            self._read(size)
            self._next += 1
        self._next += 1
        return np.frombuffer(self._read(size), self.dtype).reshape(self.shape[1:])

    def _open(self) -> None:
        self.close()
        with zipfile.ZipFile(self._path) as archive:
            self._file = archive.open(f"{self._name}.npy")
        self.shape, self._fortran, self.dtype = parse_header(self._file)
        self._next = 0

    def _read(self, count: int) -> bytearray:
        """Reads so many bytes, in blocks: the memory is taken as they come, not as the header claims."""
        assert self._file is not None
        data = bytearray()
        try:
            while len(data) < count:
                self._beat()
                block = self._file.read(min(count - len(data), _BLOCK_BYTES))
                if not block:
                    raise ValueError("the archive ends before its frames do")
                data += block
        except (OSError, ValueError):
            raise
        except Exception as error:  # zlib, lzma and bz2 have errors of their own
            raise ValueError(f"damaged: {error}") from error
        return data

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
