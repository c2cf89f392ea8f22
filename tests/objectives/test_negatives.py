"""Selection of negatives: fewer or harder ones, and never a false one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers.rows import FAR, GAP, embeddings, relation
from helpers.small_nets import save_checkpoint, small_batch, small_config, small_learners

from seqff.config import ObjectiveConfig
from seqff.objectives import build_objectives
from seqff.objectives.negatives import PER_KIND, Negatives, lowest
from seqff.pairs import Relation, relate
from seqff.training.checkpoint import load_checkpoint

CONTRASTIVE = ["temporal_hinge", "logistic_hinge", "infonce", "clapp"]


def choose(kind: str = "all") -> Negatives:
    """Return the selection of negatives."""
    return Negatives(ObjectiveConfig(negatives=kind), torch.Generator().manual_seed(0))  # type: ignore[arg-type]


def walk(number: int) -> tuple[torch.Tensor, Relation]:
    """Return a batch of three of six videos at random times, whose embeddings contain video and time."""
    random = torch.Generator().manual_seed(number)
    video = torch.randperm(6, generator=random)[:3].repeat_interleave(4)
    time = torch.randint(0, 12, (12,), generator=random)
    return torch.stack([video, time], dim=1).float(), relate(video, time, gap=GAP, far=FAR)


def test_by_default_all_negatives_of_the_batch_stand() -> None:
    """The relation is returned unchanged, and there is no state to save."""
    known, negatives = relation(), choose()
    assert negatives(embeddings(), known) is known
    assert not negatives.state_dict()


def test_hard_negatives_are_the_nearest_ones() -> None:
    """For each row and kind the 8 of smallest distance, computed by sorting; all, if there are no more."""
    u, known = embeddings(), relation()
    among = choose("hard")(u, known)
    for chosen, mask in ((among.same_video, known.same_video), (among.other_video, known.other_video)):
        for row in range(len(u)):
            candidates = mask[row].nonzero()[:, 0].tolist()
            nearest = sorted(candidates, key=lambda j, i=row: float((u[i] - u[j]).norm()))[:PER_KIND]
            assert sorted(nearest) == chosen[row].nonzero()[:, 0].tolist()


def test_sampled_negatives_are_8_of_each_kind_and_all_come_up_alike() -> None:
    """Each draw takes 8 of the 12 rows of other videos, different ones each time, and all equally often."""
    u, known, negatives = embeddings(), relation(), choose("sampled")
    draws = [negatives(u, known) for _ in range(400)]
    for draw in draws:
        assert bool((draw.other_video.sum(dim=1) == PER_KIND).all())
        assert torch.equal(draw.same_video, known.same_video)  # three at most
        assert not bool((draw.other_video & ~known.other_video).any())
    assert not torch.equal(draws[0].other_video, draws[1].other_video)
    often = torch.stack([draw.other_video for draw in draws]).float().mean(dim=0)[known.other_video]
    assert float(often.mean()) == pytest.approx(8 / 12)
    assert float((often - 8 / 12).abs().max()) < 5 * (2 / 3 * 1 / 3 / 400) ** 0.5


@pytest.mark.parametrize("kind", ["all", "sampled", "hard"])
def test_no_negative_is_false(kind: str) -> None:
    """For every choice, a negative is from another video, or from the same one at least `far` away."""
    negatives = choose(kind)
    for number in range(30):
        u, known = walk(number)
        among = negatives(u, known)
        video, time = u.long().T
        same = video[:, None] == video
        assert not bool((among.other_video & same).any())
        assert not bool((among.same_video & ~(same & ((time[:, None] - time).abs() >= FAR))).any())
        assert bool(among.other_video.any())


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_every_contrastive_objective_uses_the_choice(name: str) -> None:
    """The loss with hard negatives equals that with all negatives of a relation that has only the hard ones."""
    known = relation()
    u = torch.nn.functional.normalize(embeddings(), dim=1)
    rank = torch.cdist(u, u)
    hard = Relation(known.positive, known.same_video, lowest(rank, known.other_video, PER_KIND))

    def loss(kind: str, of: Relation) -> float:
        config = ObjectiveConfig(terms=(name,), negatives=kind, same_video=0.25)
        (term,) = build_objectives(config, [4], [5], generator=torch.Generator().manual_seed(0))
        return float(term.terms[name](u, of)[0].detach())

    assert loss("hard", known) == pytest.approx(loss("all", hard), rel=1e-6)
    assert loss("hard", known) != pytest.approx(loss("all", known), rel=1e-5)


def test_a_resumed_layer_draws_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """Draws are restored from a checkpoint: the next steps are bit-identical."""
    config = small_config()
    objective = dataclasses.replace(config.objective, negatives="sampled", same_video=0.5)
    config = dataclasses.replace(config, objective=objective)
    straight = small_learners(config)
    for number in range(3):
        straight[0].update(*small_batch(number))
    folder = save_checkpoint(tmp_path, 3, straight)
    resumed = small_learners(config)
    load_checkpoint(folder, resumed)
    for learners in (straight, resumed):
        for number in range(3, 6):
            learners[0].update(*small_batch(number))
    assert float(straight[0].metrics["loss"]) == float(resumed[0].metrics["loss"])
    for one, other in zip(straight[0].layer.parameters(), resumed[0].layer.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_unknown_choice_is_refused() -> None:
    """The error names the setting and what is allowed."""
    with pytest.raises(ValueError, match=r"objective\.negatives is 'nearest': choose from all, sampled, hard"):
        choose("nearest")
