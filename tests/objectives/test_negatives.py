"""Choosing negatives: fewer, harder or remembered ones, and never a false one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers.rows import FAR, GAP, TIME, VIDEO, embeddings, relation
from helpers.small_nets import save_checkpoint, small_batch, small_config, small_learners

from seqff.config import ObjectiveConfig
from seqff.objectives import build_objectives
from seqff.objectives.negatives import Negatives, lowest
from seqff.pairs import Relation, relate
from seqff.training.checkpoint import load_checkpoint

CONTRASTIVE = ["temporal_hinge", "logistic_hinge", "infonce", "clapp"]


def choose(kind: str = "all", *, k: int = 3, queue: int = 0, dim: int = 5) -> Negatives:
    """What chooses, for embeddings of `dim` numbers."""
    config = ObjectiveConfig(negatives=kind, negatives_k=k, queue=queue, same_video=0.5)
    return Negatives(config, dim, torch.Generator().manual_seed(0))


def walk(number: int) -> tuple[torch.Tensor, Relation]:
    """A batch of three of six videos at random times; each embedding holds its video and time."""
    random = torch.Generator().manual_seed(number)
    video = torch.randperm(6, generator=random)[:3].repeat_interleave(4)
    time = torch.randint(0, 12, (12,), generator=random)
    return torch.stack([video, time], dim=1).float(), relate(video, time, gap=GAP, far=FAR)


def test_by_default_all_negatives_of_the_batch_stand_and_nothing_is_remembered() -> None:
    """Rows and masks are those that were given, and there is nothing to keep in a checkpoint."""
    known, negatives = relation(), choose()
    among = negatives(embeddings(), known)
    assert torch.equal(among.rows, embeddings())
    assert torch.equal(among.same_video, known.same_video)
    assert torch.equal(among.other_video, known.other_video)
    assert not negatives.state_dict()


@pytest.mark.parametrize("k", [1, 3, 100])
def test_hard_negatives_are_the_nearest_ones(k: int) -> None:
    """For each row and kind the k of smallest distance, found by sorting; all, where there are no more than k."""
    u, known = embeddings(), relation()
    among = choose("hard", k=k)(u, known)
    for chosen, mask in ((among.same_video, known.same_video), (among.other_video, known.other_video)):
        for row in range(len(u)):
            candidates = mask[row].nonzero()[:, 0].tolist()
            nearest = sorted(candidates, key=lambda j, i=row: float((u[i] - u[j]).norm()))[:k]
            assert sorted(nearest) == chosen[row].nonzero()[:, 0].tolist()


def test_sampled_negatives_are_k_of_each_kind_and_all_come_up_alike() -> None:
    """Each draw takes k of the 12 rows of other videos, another k the next time, and in the long run each as often."""
    u, known, negatives = embeddings(), relation(), choose("sampled", k=3)
    draws = [negatives(u, known) for _ in range(400)]
    for draw in draws:
        assert bool((draw.other_video.sum(dim=1) == 3).all())
        assert bool((draw.same_video.sum(dim=1) == known.same_video.sum(dim=1).clamp(max=3)).all())
        assert not bool((draw.other_video & ~known.other_video).any())
    assert not torch.equal(draws[0].other_video, draws[1].other_video)
    share = torch.stack([draw.other_video for draw in draws]).float().mean(dim=0)[known.other_video]
    assert float(share.mean()) == pytest.approx(3 / 12)
    assert float((share - 3 / 12).abs().max()) < 5 * (0.25 * 0.75 / 400) ** 0.5


@pytest.mark.parametrize("queue", [0, 20])
@pytest.mark.parametrize("kind", ["all", "sampled", "hard"])
def test_no_negative_is_false(kind: str, queue: int) -> None:
    """Whatever the choice: a negative is of another video, or of the same and at least `far` away in this batch."""
    negatives = choose(kind, k=2, queue=queue, dim=2)
    remembered = 0
    for number in range(30):
        u, known = walk(number)
        among = negatives(u, known)
        video, time = among.rows.long().T
        same = known.video[:, None] == video
        distance = (u[:, 1, None].long() - time).abs()
        assert not bool((among.other_video & same).any())
        assert not bool((among.same_video & ~(same & (distance >= FAR))).any())
        assert not bool(among.same_video[:, len(u) :].any())
        remembered += int(among.other_video[:, len(u) :].sum())
    assert (remembered > 0) == (queue > 0)


def test_the_queue_holds_the_latest_rows() -> None:
    """After each batch: the last `queue` embeddings, without a gradient; of the first batch none but its own rows."""
    negatives, seen = choose(queue=7, dim=2), torch.zeros(0, 2)
    for number in range(6):
        u, known = walk(number)
        among = negatives(u.requires_grad_(), known)
        past = among.rows[len(u) :]
        if number == 0:
            assert not bool(among.other_video[:, len(u) :].any())
        else:
            assert sorted(past.tolist()) == sorted(seen[-7:].tolist())
        seen = torch.cat([seen, u.detach()])
    assert not negatives.rows.requires_grad


def test_made_up_rows_are_remembered_by_no_one_and_have_no_negatives() -> None:
    """A mixture of two videos could look like a positive: it is never a negative, nor compared with the queue."""
    negatives = choose(queue=12, dim=2)
    u, known = walk(0)
    real = torch.arange(12) < 6
    mixed = Relation(known.positive, known.same_video, known.other_video, real=real, video=known.video)
    negatives(u, mixed)
    among = negatives(u + 100, mixed)
    past = among.other_video[:, 12:]
    assert not bool(past[~real].any())
    assert not bool(past[:, 6:].any())
    assert torch.equal(past[:6, :6], known.video[:6, None] != known.video[None, :6])


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_every_contrastive_objective_uses_the_choice(name: str) -> None:
    """With hard negatives its loss is that of all negatives of a relation with the hard ones alone."""
    known = relation()
    u = torch.nn.functional.normalize(embeddings(), dim=1)
    rank = torch.cdist(u, u)
    hard = Relation(known.positive, lowest(rank, known.same_video, 2), lowest(rank, known.other_video, 2))

    def loss(kind: str, of: Relation) -> float:
        config = ObjectiveConfig(terms=(name,), negatives=kind, negatives_k=2, same_video=0.25)
        (term,) = build_objectives(config, [4], [5], generator=torch.Generator().manual_seed(0))
        return float(term.terms[name](u, of)[0].detach())

    assert loss("hard", known) == pytest.approx(loss("all", hard), rel=1e-6)
    assert loss("hard", known) != pytest.approx(loss("all", known), rel=1e-3)


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_remembered_rows_count_like_rows_of_the_batch(name: str) -> None:
    """A second batch with the first in the queue has the loss of both in one, with the first's rows no anchors."""
    first, second = embeddings(seed=0), embeddings(seed=1)
    config = ObjectiveConfig(terms=(name,), queue=18, same_video=0.25)
    (term,) = build_objectives(config, [4], [5], generator=torch.Generator().manual_seed(0))
    term.terms[name](first, relation())
    found, _ = term.terms[name](second, relate(VIDEO, TIME, gap=GAP, far=FAR))
    config = ObjectiveConfig(terms=(name,), same_video=0.25)
    (whole,) = build_objectives(config, [4], [5], generator=torch.Generator().manual_seed(0))
    known = relation()
    other = VIDEO[:, None] != VIDEO.repeat(2)
    nobody = torch.zeros(18, 36, dtype=torch.bool)
    both = Relation(
        known.positive,
        torch.cat([torch.nn.functional.pad(known.same_video, (0, 18)), nobody]),
        torch.cat([other, nobody]),
    )
    expected, _ = whole.terms[name](torch.cat([second, first]), both)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_a_resumed_layer_draws_and_remembers_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """Queue and draws come back from a checkpoint: the next steps give the same bits."""
    config = small_config()
    objective = dataclasses.replace(config.objective, negatives="sampled", negatives_k=2, queue=20, same_video=0.5)
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
    assert float(straight[0].figures["loss"]) == float(resumed[0].figures["loss"])
    for one, other in zip(straight[0].layer.parameters(), resumed[0].layer.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"negatives": "nearest"}, "choose from all, sampled, hard"),
        ({"negatives": "hard", "negatives_k": 0}, "negatives_k must be at least 1"),
        ({"queue": -1}, "queue at least 0"),
        ({"queue": 64, "same_video": 1.0}, "lower it, or leave the queue out"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object], message: str) -> None:
    """The error names the setting and what is allowed."""
    with pytest.raises(ValueError, match=message):
        Negatives(ObjectiveConfig(**{"same_video": 0.5, **settings}), 5)


def test_a_queue_needs_to_know_the_videos() -> None:
    """Without the rows' videos a remembered row could be a false negative: refused."""
    known = relation()
    with pytest.raises(ValueError, match="make the relation with `relate`"):
        choose(queue=4)(embeddings(), Relation(known.positive, known.same_video, known.other_video))
