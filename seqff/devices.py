"""Choice of device and precision; processes of torchrun."""

from __future__ import annotations

import os
import time

import torch
from torch import Tensor

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = {"auto": torch.float32, "fp32": torch.float32, "bf16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """Resolve "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: unknown name, or CUDA is requested but not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in DEVICES:
        raise ValueError(f"unknown device {name!r}: choose from {', '.join(DEVICES)}")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but torch finds no CUDA device; use 'auto' or 'cpu'")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Resolve "auto", "fp32" or "bf16", the precision of convolutions and linear maps (losses stay float32).

    "auto" selects bfloat16 where the hardware supports it: some CUDA devices, processors with AVX512-BF16.

    Raises:
        ValueError: unknown name.
    """
    if name not in PRECISIONS:
        raise ValueError(f"unknown precision {name!r}: choose from {', '.join(PRECISIONS)}")
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # there is no public API
    return torch.bfloat16 if supported() else torch.float32


def sent(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Move a tensor to a device; to CUDA through pinned memory, so that the host does not wait."""
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def clock(device: torch.device) -> float:
    """Synchronize with the device and return the time, seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def world_size() -> int:
    """Return the number of processes of torchrun (or of another launcher that sets its variables)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def restarts() -> int:
    """Return how often torchrun has restarted this process after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
