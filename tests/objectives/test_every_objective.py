"""Properties of all objectives: local learning, finite losses for degenerate batches, state in checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.rows import FAR, GAP, TIME, VIDEO, embeddings, relation, without_negatives, without_positives
from helpers.small_nets import save_checkpoint

from seqff.config import EncoderConfig, LogisticHingeConfig, ObjectiveConfig, TrainConfig
from seqff.nets import build_encoder
from seqff.objectives import OBJECTIVES, build_objectives
from seqff.pairs import FrameBatch, Relation
from seqff.pairs.mixtures import with_mixtures
from seqff.training import LayerLearner, build_learners
from seqff.training.checkpoint import load_checkpoint
from seqff.transform import FrameTransform

ENCODER = EncoderConfig(widths=(4, 6), kernels=(3, 3), strides=(2, 1), pools=(1, 2))
OF_EMBEDDINGS = sorted(set(OBJECTIVES) - {"goodness", "scff"})


def setting(*terms: str, device: str = "cpu") -> tuple[list[LayerLearner], torch.Tensor, Relation]:
    """Return learners of two narrow layers and a batch of three videos, with synthetic negatives if needed."""
    objective = ObjectiveConfig(terms=terms, grid=(2,), head_out=5, same_video=0.5)
    config = TrainConfig(precision="fp32", encoder=ENCODER, objective=objective)
    learners = build_learners(build_encoder(ENCODER, FrameTransform(16, 16), seed=0).to(device), config, seed=0)
    frames = torch.randn(18, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = FrameBatch(frames, VIDEO, TIME)
    known = batch.relation(gap=GAP, far=FAR)
    if any(learner.objective.needs_mixtures for learner in learners):
        batch, known = with_mixtures(batch, known, np.random.default_rng(0))
    return learners, batch.frames.to(device), known.to(device)


def parameters(learner: LayerLearner) -> list[torch.Tensor]:
    """Return the layer's weights."""
    return [p.detach().clone() for p in learner.layer.parameters()]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_layer_learns_by_it_and_no_other_layer_does(name: str) -> None:
    """An update of the second layer has finite loss and metrics, changes its weights, and affects no other layer."""
    (first, second), h, known = setting(name)
    h = first.run_layer(h).detach()
    before, below = parameters(second), parameters(first)
    for _ in range(2):
        second.update(h, known)
    assert all(bool(torch.isfinite(value)) and not value.requires_grad for value in second.metrics.values())
    assert not any(torch.equal(a, b) for a, b in zip(before, parameters(second), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(below, parameters(first), strict=True))
    assert all(p.grad is None for p in first.layer.parameters())


@pytest.mark.parametrize("name", OF_EMBEDDINGS)
@pytest.mark.parametrize("known", [without_positives, without_negatives], ids=["no positives", "no negatives"])
def test_batches_without_a_kind_of_pair_are_finite(name: str, known: object) -> None:
    """Loss, metrics and gradient are finite, not 0 / 0."""
    (term,) = build_objectives(ObjectiveConfig(terms=(name,), same_video=0.5), [4], [5])
    z = embeddings().requires_grad_()
    loss, figures = term.terms[name](z, known())  # type: ignore[operator]
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert all(bool(torch.isfinite(value)) for value in figures.values())
    assert bool(torch.isfinite(z.grad).all())


@pytest.mark.parametrize("name", OF_EMBEDDINGS)
def test_a_batch_without_any_pair_costs_nothing_and_moves_nothing(name: str) -> None:
    """Without positives and negatives the loss is 0, with a graph whose gradients are 0."""
    (term,) = build_objectives(ObjectiveConfig(terms=(name,), same_video=0.5), [4], [5])
    z, known = embeddings().requires_grad_(), without_negatives()
    loss, _ = term.terms[name](z, Relation(known.positive[:0], known.same_video, known.other_video))
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.count_nonzero(z.grad) == 0


@pytest.mark.parametrize("name", OF_EMBEDDINGS)
def test_half_precision_embeddings_are_compared_in_float32(name: str) -> None:
    """bf16 embeddings give a float32 loss, equal to that of the same numbers in float32, and a gradient."""
    config = ObjectiveConfig(terms=(name,))
    term, same = (
        build_objectives(config, [4], [5], generator=torch.Generator().manual_seed(0))[0].terms[name] for _ in range(2)
    )
    z = embeddings().bfloat16().requires_grad_()
    loss, _ = term(z, relation())
    exact, _ = same(z.detach().float(), relation())
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), rel=1e-6)
    loss.backward()
    assert bool(z.grad.any())


def test_terms_add_up_and_checkpoints_hold_them(tmp_path: Path) -> None:
    """With all terms on embeddings, the loss is their weighted sum; learned matrices and tolerances are saved."""
    names = [f"{name}:0.5" for name in OF_EMBEDDINGS]
    learners, h, known = setting(*names)
    learners[0].update(h, known)
    figures = learners[0].metrics
    total = sum(0.5 * float(figures[f"{name}_loss"]) for name in OF_EMBEDDINGS)
    assert float(figures["loss"]) == pytest.approx(total, rel=1e-5)
    folder = save_checkpoint(tmp_path, 1, learners)
    fresh, _, _ = setting(*names)
    load_checkpoint(folder, fresh)
    state, again = learners[0].objective.state_dict(), fresh[0].objective.state_dict()
    assert {"terms.clapp.predictor.weight", "terms.logistic_hinge.tolerance.value"} <= set(state)
    assert all(torch.equal(value, again[name]) for name, value in state.items())


def test_each_term_follows_its_own_tolerance() -> None:
    """Two terms with calibrated tolerances measure their own distances."""
    config = ObjectiveConfig(terms=("temporal_hinge", "logistic_hinge"), tolerance="calibrated")
    (term,) = build_objectives(config, [4], [5])
    first, second = term.terms["temporal_hinge"].tolerance, term.terms["logistic_hinge"].tolerance
    term.terms["temporal_hinge"](embeddings(), relation())
    assert bool(torch.isfinite(first.value))
    assert bool(torch.isnan(second.value))


def test_wrong_settings_name_the_setting() -> None:
    """A setting out of range is refused when the objectives are built."""
    with pytest.raises(ValueError, match=r"objective\.logistic_hinge\.scale"):
        build_objectives(
            ObjectiveConfig(terms=("logistic_hinge",), logistic_hinge=LogisticHingeConfig(scale=-1.0)), [4], [5]
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_on_a_gpu_waits_for_nothing(name: str) -> None:
    """Loss and backward do not synchronize, according to CUDA's check, and the loss equals the CPU's."""
    learners, h, known = setting(name, device="cuda")
    learners[0].loss(h, known)  # the first call sets up libraries
    torch.cuda.set_sync_debug_mode("error")
    try:
        _, loss = learners[0].loss(h, known)
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    on_cpu, h, known = setting(name)
    assert float(loss.detach()) == pytest.approx(float(on_cpu[0].loss(h, known)[1].detach()), rel=1e-2)
