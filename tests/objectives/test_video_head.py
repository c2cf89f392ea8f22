"""The head of terms between videos, and the channels reserved for them."""

from __future__ import annotations

import pytest
import torch
from helpers.rows import relation

from seqff.config import EncoderConfig, ObjectiveConfig, TrainConfig
from seqff.nets import build_encoder
from seqff.objectives import build_head, build_objectives
from seqff.objectives.heads import Head
from seqff.objectives.infonce import video_infonce, video_pairs
from seqff.training import build_learners
from seqff.transform import FrameTransform


@torch.no_grad()
def test_the_term_has_a_head_of_its_own_on_the_mean_of_the_map() -> None:
    """It is independent of positions, the hinge is independent of its embedding, and both losses are summed."""
    config = ObjectiveConfig(terms=("temporal_hinge", "video_infonce:2"), head_out=5)
    head = build_head("mlp", 4, grid=2, out=5, video=True, generator=torch.Generator().manual_seed(0))
    maps = torch.rand(18, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    z, turned = head(maps), head(maps.rot90(2, (2, 3)))
    assert z.shape == (18, 10)
    assert torch.allclose(z[:, 5:], turned[:, 5:], atol=1e-6)
    assert not torch.allclose(z[:, :5], turned[:, :5], atol=1e-3)
    (both,) = build_objectives(config, [4], [5])
    (alone,) = build_objectives(ObjectiveConfig(terms=("temporal_hinge",)), [4], [5])
    known = relation()
    hinge, _ = alone(lambda x: x, maps, maps, z[:, :5], known)
    loss, _ = both(lambda x: x, maps, maps, z, known)
    video, _ = video_infonce(z[:, 5:], *video_pairs(known), temperature=0.1)
    assert float(loss) == pytest.approx(float(hinge + 2 * video), rel=1e-5)


@torch.no_grad()
def test_each_kind_of_term_has_channels_of_its_own() -> None:
    """With three of four channels for the cells, the fourth affects only the video embedding, and the three do not."""
    head = build_head("linear", 4, grid=2, out=5, video=True, split=3)
    maps = torch.rand(18, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    z = head(maps)
    first, last = maps.clone(), maps.clone()
    first[:, :3] += 1
    last[:, 3:] += 1
    assert torch.equal(head(first)[:, 5:], z[:, 5:])
    assert not torch.allclose(head(first)[:, :5], z[:, :5])
    assert torch.equal(head(last)[:, :5], z[:, :5])
    assert not torch.allclose(head(last)[:, 5:], z[:, 5:])


@pytest.mark.parametrize(
    ("terms", "share", "split"),
    [
        (("temporal_hinge", "video_infonce"), 0.5, [4, 6]),
        (("temporal_hinge", "video_infonce"), 0.25, [6, 9]),
        (("temporal_hinge", "video_infonce"), 0.0, [0, 0]),
        (("temporal_hinge",), 0.5, [0, 0]),
        (("video_infonce",), 0.5, [0, 0]),
    ],
)
def test_channels_are_shared_out_where_there_are_both_kinds(
    terms: tuple[str, ...], share: float, split: list[int]
) -> None:
    """A share of 8 and of 12 channels is for terms between videos; all channels if there is only one kind."""
    encoder = EncoderConfig(widths=(8, 12), kernels=(3, 3), strides=(2, 1), pools=(1, 1))
    config = TrainConfig(encoder=encoder, objective=ObjectiveConfig(terms=terms, video_channels=share, grid=(2,)))
    learners = build_learners(build_encoder(encoder, FrameTransform(16, 16), seed=0), config, seed=0)
    heads = [learner.head for learner in learners]
    assert [head.split for head in heads if isinstance(head, Head)] == split


def test_a_share_that_is_none_is_refused() -> None:
    """Each kind must keep at least one channel."""
    encoder = EncoderConfig(widths=(2,), kernels=(3,), strides=(2,), pools=(1,))
    for share in (-0.1, 1.0, 0.1):
        config = TrainConfig(encoder=encoder, objective=ObjectiveConfig(video_channels=share, grid=(2,)))
        with pytest.raises(ValueError, match=r"objective\.video_channels"):
            build_learners(build_encoder(encoder, FrameTransform(16, 16), seed=0), config, seed=0)
