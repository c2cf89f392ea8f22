"""How far a term that tells videos apart counts, and the head it looks through."""

from __future__ import annotations

import pytest
import torch
from rows import relation

from seqff.config import ObjectiveConfig
from seqff.objectives import build_head, build_objectives
from seqff.objectives.video_hinge import VideoHinge, video_hinge
from seqff.objectives.video_infonce import VideoInfoNCE, video_infonce
from seqff.objectives.video_share import Share, video_ratio
from seqff.pairs import relate


def pictures(fixed: float) -> torch.Tensor:
    """Four frames each of six videos: noise of each frame's own over a background of each video's own."""
    random = torch.Generator().manual_seed(0)
    behind = torch.rand(6, 1, 3, 32, 32, generator=random).expand(6, 4, 3, 32, 32)
    own = torch.rand(6, 4, 3, 32, 32, generator=random)
    return (fixed * behind + (1 - fixed) * own).flatten(0, 1)


def test_the_ratio_is_0_for_still_pictures_and_1_for_unrelated_ones() -> None:
    """Exposure does not matter; rows of one video alone have none."""
    known = relate(torch.arange(24) // 4, torch.arange(24) % 4 * 10, gap=1, far=5)
    still, moving, between = (float(video_ratio(pictures(fixed), known)) for fixed in (1.0, 0.0, 0.7))
    assert still == pytest.approx(0, abs=1e-5)
    assert moving == pytest.approx(1, abs=0.05)
    assert 0.1 < between < 0.5
    assert float(video_ratio(3 * pictures(0.7) - 1, known)) == pytest.approx(between, rel=1e-3)
    alone = relate(torch.zeros(24, dtype=torch.int64), torch.arange(24) * 10, gap=1, far=5)
    assert torch.isnan(video_ratio(pictures(0.7), alone))


@pytest.mark.parametrize(
    ("ratios", "share"),
    [([0.5, 0.6], 0.0), ([0.7, 0.75], 0.5), ([0.9, 1.1], 1.0), ([0.725, torch.nan], 0.5), ([torch.nan], 0.0)],
)
def test_the_share_follows_the_ratio(ratios: list[float], share: float) -> None:
    """None below 0.65, all from 0.8 on, in between in proportion; none where there is no other video."""
    measured = Share(None)
    measured.measure(torch.tensor(ratios), videos=1000)
    assert float(measured.value) == pytest.approx(share, abs=1e-6)


def test_few_videos_count_less() -> None:
    """In proportion to their number, up to 300."""
    measured = Share(None)
    for videos, share in ((90, 0.15), (300, 0.5), (3000, 0.5)):
        measured.measure(torch.tensor([0.725]), videos=videos)
        assert float(measured.value) == pytest.approx(share, abs=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", ["video_hinge", "video_infonce"])
def test_the_term_has_a_head_of_its_own_on_the_mean_of_the_map(name: str) -> None:
    """It sees nothing of where things are, the hinge beside it nothing of its embedding; a share of 0 takes it out."""
    config = ObjectiveConfig(terms=("temporal_hinge", f"{name}:2"), head_out=5)
    head = build_head("mlp", 4, grid=2, width=6, out=5, video=True, generator=torch.Generator().manual_seed(0))
    maps = torch.rand(18, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    z, turned = head(maps), head(maps.rot90(2, (2, 3)))
    assert z.shape == (18, 10)
    assert torch.allclose(z[:, 5:], turned[:, 5:], atol=1e-6)
    assert not torch.allclose(z[:, :5], turned[:, :5], atol=1e-3)
    (both,) = build_objectives(config, [4], [5])
    (alone,) = build_objectives(ObjectiveConfig(terms=("temporal_hinge",)), [4], [5])
    known = relation()
    hinge, _ = alone(lambda x: x, maps, maps, z[:, :5], known)
    loss, figures = both(lambda x: x, maps, maps, z, known)
    if name == "video_hinge":
        video, _ = video_hinge(z[:, 5:], known, tolerance=0.1, margin=1.5)
    else:
        video, _ = video_infonce(z[:, 5:], known, temperature=0.2)
    assert float(loss) == pytest.approx(float(hinge + 2 * video), rel=1e-5)
    assert float(figures["video_share"]) == 1
    term = both.terms[name]
    assert isinstance(term, VideoHinge | VideoInfoNCE)
    term.share.value.fill_(0.0)
    assert float(both(lambda x: x, maps, maps, z, known)[0]) == pytest.approx(float(hinge), rel=1e-6)
