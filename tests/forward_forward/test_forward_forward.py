"""The Forward-Forward net learns with and without labels, layer by layer, and reports what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from seqff import ForwardForward
from seqff.config import GoodnessConfig
from seqff.forward_forward.dense_net import DenseLayer, length_norm
from seqff.forward_forward.pictures import as_labels, as_pictures, deal, shift
from seqff.objectives.goodness import goodness

X, Y = load_digits(return_X_y=True)
X = (X.reshape(-1, 8, 8) / 16).astype(np.float32)
TRAIN, TEST = slice(0, 1400), slice(1400, None)


def supervised(**settings: object) -> ForwardForward:
    """A small net fitted to 1400 digits of 8 x 8 px with their labels in the first ten pixels."""
    net = ForwardForward((96, 96), precision="fp32", batch=50, lr=1e-2, **settings)  # type: ignore[arg-type]
    padded = np.pad(X[TRAIN], ((0, 0), (2, 0), (0, 0)))  # room for the label above the digit
    return net.fit(padded, Y[TRAIN], epochs=8, progress=False)


def error(net: ForwardForward, by: str) -> float:
    """Share of the test digits that the net names wrongly."""
    padded = np.pad(X[TEST], ((0, 0), (2, 0), (0, 0))) if net.mode == "supervised" else X[TEST]
    return float((net.predict(padded, by=by) != Y[TEST]).mean())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fitted() -> ForwardForward:
    """One net that several tests look at."""
    return supervised()


def test_goodness_names_classes(fitted: ForwardForward) -> None:
    """Summed goodness over labels errs on less than a sixth of unseen digits (chance: nine in ten)."""
    assert error(fitted, "goodness") < 0.15
    assert error(supervised(negatives="random", goodness=GoodnessConfig(loss="threshold")), "goodness") < 0.25


def test_the_right_label_has_the_higher_goodness_at_every_layer(fitted: ForwardForward) -> None:
    """(N, L, K) goodness: at both layers the right label beats the mean of the wrong ones on nearly all digits."""
    padded = np.pad(X[TEST], ((0, 0), (2, 0), (0, 0)))
    g = fitted.goodness(padded)
    assert g.shape == (len(padded), 2, 10)
    right = g[np.arange(len(padded)), :, Y[TEST]]
    wrong = (g.sum(axis=2) - right) / 9
    assert ((right > wrong).mean(axis=0) > 0.95).all()


def test_without_labels_a_softmax_reads_classes_off_the_layers() -> None:
    """Hybrid negatives alone: a linear softmax on the second layer errs on less than a fifth of unseen digits."""
    net = ForwardForward((128, 128), mode="unsupervised", precision="fp32", batch=50, lr=3e-3)
    net.fit(X[TRAIN], epochs=5, progress=False)
    assert net.history[-1]["layer1/told_apart"] > 0.65
    assert net.history[-1]["layer1/told_apart"] > net.history[0]["layer1/told_apart"]
    net.fit_softmax(X[TRAIN], Y[TRAIN], epochs=10, lr=1e-2, progress=False)
    assert error(net, "softmax") < 0.2


def test_a_layer_cannot_read_the_goodness_of_the_one_below() -> None:
    """Rows that differ in goodness alone, the length of the layer below, look the same to the next layer."""
    layer = DenseLayer(20, 30, generator=torch.Generator().manual_seed(0))
    below = torch.rand(5, 20, generator=torch.Generator().manual_seed(1))
    longer = below * torch.tensor([2.0, 5.0, 10.0, 3.0, 7.0])[:, None]
    assert bool((goodness(longer) > 3.9 * goodness(below)).all())
    assert torch.allclose(layer(below), layer(longer), rtol=1e-3, atol=1e-4)
    raw = layer.linear(below), layer.linear(longer)  # without the norm it could
    assert not torch.allclose(*raw, rtol=0.1, atol=0.1)
    assert torch.allclose(length_norm(longer).square().mean(dim=1), torch.ones(5), atol=1e-4)


def test_features_are_normalised_activities_of_all_layers(fitted: ForwardForward) -> None:
    """(N, sum of widths) float32, each layer at mean square 1, so that none drowns the other."""
    found = fitted.features(np.pad(X[TEST], ((0, 0), (2, 0), (0, 0))))
    assert found.shape == (len(X[TEST]), 192)
    assert found.dtype == np.float32
    for part in (found[:, :96], found[:, 96:]):
        assert np.allclose((part**2).mean(axis=1), 1, atol=1e-2)


def test_an_update_moves_each_layer_by_its_own_loss_alone() -> None:
    """Scaling the second layer's loss changes not one bit of the first: no gradient comes down."""
    moved = []
    for alpha in (0.03, 3.0):
        net = ForwardForward((16, 16), precision="fp32", negatives="random")
        net.fit(X[:100], Y[:100], epochs=0, progress=False)
        assert net.net is not None
        term = net.net.learners[1].objective.terms["goodness"]
        term.config = GoodnessConfig(loss="symba", alpha=alpha)
        rows = torch.rand(2, 10, 64, generator=torch.Generator().manual_seed(0))
        for _ in range(3):
            net.net.update(rows[0], rows[1], lr=1e-2)
        moved.append([learner.layer.linear.weight.detach().clone() for learner in net.net.learners])
    assert torch.equal(moved[0][0], moved[1][0])
    assert not torch.equal(moved[0][1], moved[1][1])


@pytest.mark.parametrize("mode", ["supervised", "unsupervised"])
def test_the_same_seed_gives_the_same_net(mode: str) -> None:
    """Bit for bit, whatever else was drawn from global generators before; another seed gives another net."""
    found = []
    for seed in (0, 0, 1):
        torch.rand(seed + 3)
        np.random.default_rng().random(7)
        net = ForwardForward((24, 24), mode=mode, jitter=1, precision="fp32", seed=seed)  # type: ignore[arg-type]
        net.fit(X[:200], Y[:200], epochs=1, progress=False).fit_softmax(X[:200], Y[:200], epochs=1, progress=False)
        found.append(net.features(X[:5]))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_history_and_validation(fitted: ForwardForward) -> None:
    """A line an epoch, with the loss of every layer and the error on pictures that were not trained on."""
    assert [line["epoch"] for line in fitted.history] == list(range(1, 9))
    assert fitted.history[-1]["layer2/loss"] < fitted.history[0]["layer2/loss"]
    net = ForwardForward((16,), precision="fp32").fit(
        X[:100], Y[:100], epochs=1, validation=(X[TEST], Y[TEST]), progress=False
    )
    assert net.history[0]["validation_error"] == pytest.approx(error_of(net))


def error_of(net: ForwardForward) -> float:
    """Error of a net that was fitted to digits as they are."""
    return float((net.predict(X[TEST]) != Y[TEST]).mean())


def test_bytes_are_scaled_and_flat_rows_are_pictures_too() -> None:
    """uint8 0..255 and the same as float 0..1, (N, H, W) and (N, D): one result."""
    levels = np.round(X * 255).astype(np.uint8)
    forms = [levels, levels.reshape(len(levels), -1), (levels / 255).astype(np.float32)]
    found = [
        ForwardForward((16, 16), precision="fp32").fit(x[:200], Y[:200], epochs=1, progress=False).features(x[:9])
        for x in forms
    ]
    assert np.array_equal(found[0], found[1])
    assert np.allclose(found[0], found[2], atol=1e-5)


def test_an_epoch_shows_every_picture_once_and_mixes_none_with_itself() -> None:
    """Batches of at most 4 deal out 9 rows, each with another row as its partner, and each is partner once."""
    batches = list(deal(9, 4, np.random.default_rng(0)))
    assert [len(rows) for rows, _ in batches] == [4, 4, 1]
    rows, others = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert sorted(rows.tolist()) == sorted(others.tolist()) == list(range(9))
    assert not (rows == others).any()


def test_shifts_move_a_picture_and_bring_in_zeros() -> None:
    """All shifts of up to 1 px each way come about, and each is a picture moved as a whole."""
    picture = torch.arange(1, 26).view(1, 5, 5)
    moved = shift(picture.expand(300, -1, -1), 1, np.random.default_rng(0))
    expected = set()
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            target = torch.zeros(5, 5, dtype=torch.int64)
            kept = picture[0, max(0, -down) : 5 - max(0, down), max(0, -right) : 5 - max(0, right)]
            target[max(0, down) : 5 - max(0, -down), max(0, right) : 5 - max(0, -right)] = kept
            expected.add(tuple(target.flatten().tolist()))
    assert {tuple(row.flatten().tolist()) for row in moved} == expected


def test_what_cannot_be_is_said() -> None:
    """Wrong shapes, kinds and orders of calls are errors that say what to do."""
    with pytest.raises(ValueError, match="call fit"):
        ForwardForward((8,)).predict(X)
    with pytest.raises(ValueError, match="needs labels"):
        ForwardForward((8,)).fit(X)
    with pytest.raises(ValueError, match=r"must be \(N, H, W\)"):
        ForwardForward((8,), mode="unsupervised").fit(X.reshape(len(X), -1))
    with pytest.raises(ValueError, match="call fit_softmax"):
        ForwardForward((8,), mode="unsupervised").fit(X[:50], epochs=0).predict(X)
    with pytest.raises(ValueError, match="mode='supervised'"):
        ForwardForward((8,), mode="unsupervised").fit(X[:50], epochs=0).goodness(X)
    with pytest.raises(ValueError, match="64 pixels"):
        ForwardForward((8,), mode="unsupervised").fit(X[:50], epochs=0).features(X[:, :4])
    with pytest.raises(ValueError, match="mode is supervised or unsupervised"):
        ForwardForward((8,), mode="half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one unit"):
        ForwardForward(())
    shifted = ForwardForward((8,), jitter=1).fit(X[:50], Y[:50], epochs=0)
    with pytest.raises(ValueError, match=r"must be \(N, H, W\)"):
        shifted.fit_softmax(X[:50].reshape(50, -1), Y[:50])
    with pytest.raises(ValueError, match="whole numbers"):
        as_labels(np.array([0.5, 1.0]), 2)
    with pytest.raises(ValueError, match="not finite"):
        as_pictures(np.full((2, 4), np.nan))
