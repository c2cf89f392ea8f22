"""The whitening norm: decorrelated channels, and independent of the batch in eval mode."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqff.config import EncoderConfig
from seqff.nets import build_encoder, load_encoder, save_encoder
from seqff.nets.norms import RIDGE, Whitening, build_norm, group_size, inverse_square_root
from seqff.transform import FrameTransform


def correlated(channels: int, *, number: int = 0, count: int = 64) -> torch.Tensor:
    """Return (count, channels, 6, 6) maps with correlated channels of different scales and nonzero means."""
    generator = torch.Generator().manual_seed(number)
    mixing = torch.randn(channels, channels, generator=torch.Generator().manual_seed(99)) * torch.logspace(
        0, -1, channels
    )
    noise = torch.randn(count, channels, 6, 6, generator=generator)
    return torch.einsum("nchw,dc->ndhw", noise, mixing) + 3


def covariances(x: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Return the covariance of each group of channels over samples and positions."""
    return [torch.cov(group.transpose(0, 1).flatten(1), correction=0) for group in x.split(size, dim=1)]


def with_ridge(covariance: torch.Tensor) -> torch.Tensor:
    """Return the covariance that is whitened, with RIDGE of the mean variance added to every direction."""
    return covariance + RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance))


@pytest.mark.parametrize(("channels", "size"), [(6, 6), (64, 64), (96, 48), (256, 64)])
def test_channels_of_a_group_are_uncorrelated_with_variance_one(channels: int, size: int) -> None:
    """In training mode every group of at most 64 channels has mean 0 and covariance I, except for the ridge."""
    x = correlated(channels)
    white = Whitening(channels)(x)
    assert group_size(channels) == size
    torch.testing.assert_close(white.mean(dim=(0, 2, 3)), torch.zeros(channels), atol=1e-3, rtol=0)
    for before, after in zip(covariances(x, size), covariances(white, size), strict=True):
        root = inverse_square_root(before)
        torch.testing.assert_close(after, root @ before @ root, atol=2e-3, rtol=0)
        torch.testing.assert_close(root @ with_ridge(before) @ root, torch.eye(size), atol=2e-3, rtol=0)


def test_newton_schulz_finds_the_root_that_eigenvectors_give() -> None:
    """With one direction a million times as strong as the others, and a dead one, the root equals that by eigh."""
    basis = torch.linalg.qr(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)))[0]
    variances = torch.cat([torch.tensor([0.0, 1e6]), torch.ones(62)])
    covariance = (basis * variances) @ basis.T
    values, vectors = torch.linalg.eigh(with_ridge(covariance).double())
    expected = (vectors * values.rsqrt()) @ vectors.T
    torch.testing.assert_close(inverse_square_root(covariance).double(), expected, atol=1e-4, rtol=1e-2)
    assert bool(torch.isfinite(inverse_square_root(torch.zeros(2, 3, 3))).all())


def test_each_channel_stays_itself() -> None:
    """ZCA does not rotate: every whitened channel is most similar to its original channel."""
    x = correlated(16)
    rows = [map_.transpose(0, 1).flatten(1) for map_ in (x, Whitening(16)(x))]
    likeness = torch.corrcoef(torch.cat(rows))[:16, 16:]
    assert torch.equal(likeness.argmax(dim=1), torch.arange(16))


def test_in_evaluation_a_picture_is_whitened_by_the_training_statistics() -> None:
    """In eval mode the result is independent of the batch, close to that in training mode, and no state changes."""
    norm = Whitening(8)
    for number in range(60):
        norm(correlated(8, number=number))
    norm.eval()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = correlated(8, number=1000)
    white = norm(x)
    torch.testing.assert_close(norm(x[:1]), white[:1])
    of_a_batch = Whitening(8)(x)  # with the statistics of these pictures alone
    torch.testing.assert_close(covariances(white, 8)[0], covariances(of_a_batch, 8)[0], atol=0.15, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_running_statistics_are_kept_on_disk_and_nothing_is_learnt(tmp_path: Path) -> None:
    """An encoder with this norm has no additional parameters, and is restored with its statistics."""
    config = EncoderConfig(widths=(4, 6), kernels=(3, 3), strides=(2, 1), pools=(1, 1), norm="whitening")
    encoder = build_encoder(config, FrameTransform(16, 16))
    plain = build_encoder(EncoderConfig(**{**vars(config), "norm": "none"}), FrameTransform(16, 16))
    assert len(list(encoder.parameters())) == len(list(plain.parameters()))
    fresh = encoder.hash()
    encoder(torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert encoder.hash() != fresh
    save_encoder(encoder, tmp_path)
    assert load_encoder(tmp_path).hash() == encoder.hash()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_layout_and_type_do_not_matter(dtype: torch.dtype, memory: torch.memory_format) -> None:
    """Both memory layouts, float32 or bf16, also under autocast: the same numbers, in the input's dtype."""
    x = correlated(6)
    expected = build_norm("whitening", 6)(x)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        white = build_norm("whitening", 6)(x.to(dtype).contiguous(memory_format=memory))
    assert white.dtype == dtype
    torch.testing.assert_close(white.float(), expected, atol=1e-4 if dtype is torch.float32 else 0.2, rtol=0)


def test_no_gradient_passes_through_the_statistics() -> None:
    """The gradient is that of a fixed linear map: the whitening matrix of the batch."""
    x = correlated(4).requires_grad_()
    norm = Whitening(4)
    push = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    (norm(x) * push).sum().backward()
    root = inverse_square_root(covariances(x.detach(), 4)[0])
    torch.testing.assert_close(x.grad, torch.einsum("nchw,cd->ndhw", push, root), atol=1e-4, rtol=1e-3)
