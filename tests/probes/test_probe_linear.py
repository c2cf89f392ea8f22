"""The solver: exact, and independent of the test rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from seqff.probes.linear import LinearProbe
from seqff.probes.model_selection import Choice, hopeless, pick
from seqff.probes.preprocessing import fit_scaling, principal_axes
from seqff.probes.softmax import lambda_path, logits_of, softmax_path


def standardize(train, test):  # type: ignore[no-untyped-def]
    scaling = fit_scaling(train)
    return scaling(train), scaling(test), scaling.constant


def problem(n: int = 60, m: int = 30, width: int = 300, classes: int = 4, seed: int = 0):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    y = np.arange(n + m) % classes
    x = rng.normal(size=(classes, width))[y] * 0.3 + rng.normal(size=(n + m, width))
    return x[:n].astype(np.float32), y[:n], x[n:].astype(np.float32), y[n:]


def rotate(x, z):  # type: ignore[no-untyped-def]
    axes = principal_axes(x)
    return x @ axes, z @ axes


def fitted(x, y, groups, rng=None):  # type: ignore[no-untyped-def]
    return LinearProbe(random_state=rng or np.random.default_rng(0)).fit(x, y, groups)


def fit(x, y, lambda_, classes=4):  # type: ignore[no-untyped-def]
    ((weights, converged),) = softmax_path(x, y, classes, [lambda_], tolerance=1e-9)
    assert converged
    return weights


@pytest.mark.parametrize("lambda_", [1.0, 1e-2, 1e-4])
def test_rotation_gives_the_direct_fit(lambda_: float) -> None:
    """With more features than rows, the fit in the span of the rows gives the same logits as the fit in all D."""
    train, y, test, _ = problem()
    x, z, _ = standardize(train, test)
    reduced, reduced_test = rotate(x, z)
    assert reduced.shape == (60, 60)
    small = logits_of(reduced_test, fit(reduced, y, lambda_))
    large = logits_of(z, fit(x, y, lambda_))
    for logits in (small, large):
        logits -= logits.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(small, large, atol=2e-3 * np.abs(large).max())
    assert np.array_equal(small.argmax(axis=1), large.argmax(axis=1))


@pytest.mark.parametrize("width", [300, 20])
def test_rotation_is_exact_for_any_of_the_rows(width: int) -> None:
    """Inner folds may take rows of the rotated matrix: inner products of rows, train and test, are all unchanged."""
    train, _, test, _ = problem(width=width)
    x, z, _ = standardize(train, test)
    reduced, reduced_test = rotate(x, z)
    np.testing.assert_allclose(reduced @ reduced.T, x @ x.T, atol=1e-10)
    np.testing.assert_allclose(reduced_test @ reduced.T, z @ x.T, atol=1e-10)


@pytest.mark.parametrize(("n", "width", "classes"), [(60, 40, 4), (200, 10, 3), (90, 30, 6)])
def test_path_has_the_optimum_of_scikit_learn(n: int, width: int, classes: int) -> None:
    """Each lambda of the warm-started path has scikit-learn's objective to 1e-4 relative, and its answers."""
    train, y, test, _ = problem(n=n, width=width, classes=classes)
    x, z, _ = standardize(train, test)
    lambdas = lambda_path(n)
    for value, (weights, converged) in zip(lambdas, softmax_path(x, y, classes, lambdas), strict=True):
        assert converged
        other = LogisticRegression(C=1 / (value * n), tol=1e-9, max_iter=10_000).fit(x, y)
        theirs = np.vstack([other.coef_.T, other.intercept_])
        assert objective(weights, x, y, value) <= objective(theirs, x, y, value) * (1 + 1e-4)
        assert np.array_equal(logits_of(z, weights).argmax(axis=1), other.predict(z))


@pytest.mark.parametrize("kind", ["float32", "tensor"])
def test_path_in_single_precision_and_on_tensors(kind: str) -> None:
    """Float32 rows come within 1e-4 of the optimum in float64 all the same, as arrays and as tensors."""
    train, y, test, _ = problem(n=200, width=20)
    x, z, _ = standardize(train, test)
    lambdas = lambda_path(200)
    rows = torch.from_numpy(x).float() if kind == "tensor" else x.astype(np.float32)
    exact = softmax_path(x, y, 4, lambdas, tolerance=1e-10)
    for value, (weights, converged), (best, _) in zip(lambdas, softmax_path(rows, y, 4, lambdas), exact, strict=True):
        assert converged
        assert type(weights) is type(rows)
        assert weights.dtype == rows.dtype
        found = np.asarray(weights, dtype=np.float64)
        assert objective(found, x, y, value) <= objective(best, x, y, value) * (1 + 1e-4)
        assert (logits_of(z, found).argmax(axis=1) == logits_of(z, best).argmax(axis=1)).mean() > 0.95


def objective(weights, x, y, lambda_):  # type: ignore[no-untyped-def]
    logits = logits_of(x, weights)
    loss = (logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]).mean()
    return loss + lambda_ / 2 * np.square(weights[:-1]).sum()


def test_a_class_missing_from_the_rows_is_never_the_answer() -> None:
    """Inner folds may lack a class: the fit then goes through, and does not name it."""
    train, y, test, _ = problem(width=20)
    x, z, _ = standardize(train, test)
    present = y != 2
    weights = fit(x[present], y[present], 1e-3)
    assert 2 not in logits_of(z, weights).argmax(axis=1)
    smaller = fit(x[present], np.searchsorted([0, 1, 3], y[present]), 1e-3, classes=3)
    np.testing.assert_allclose(weights[:-1, [0, 1, 3]], smaller[:-1], atol=1e-3)


def test_test_rows_have_no_say() -> None:
    """Whatever the other test rows hold, the answer to a row stays the same."""
    train, y, test, _ = problem()
    probe = fitted(train, y, np.arange(60) // 5)
    wild = test.copy()
    wild[5:] = 1e6
    assert np.array_equal(probe.predict(test)[:5], probe.predict(wild)[:5])


def test_standardised_rows_do_not_depend_on_width() -> None:
    """Training rows have mean square 1 at any width, so one path of penalties fits all layers."""
    for width in (10, 1000):
        train, _, test, _ = problem(width=width)
        x, _, constant = standardize(train * 50 + 3, test)
        assert constant == 0
        assert np.square(x).sum(axis=1).mean() == pytest.approx(1)


def test_constant_features_are_dropped_and_counted() -> None:
    """Features that do not vary in training, exactly or up to rounding, have no part in the fit, whatever in test."""
    train, _, test, _ = problem(width=30)
    train[:, 3], train[:, 7] = 0, 1000
    train[::2, 7] = np.nextafter(np.float32(1000), np.float32(2000))
    test[:, [3, 7]] = 1e9
    x, z, constant = standardize(train, test)
    assert constant == 2
    assert x.shape[1] == z.shape[1] == 28
    assert np.abs(z).max() < 10


def test_without_any_varying_feature_the_answer_is_the_majority() -> None:
    """A collapsed layer is scored, not a crash: every answer is the class most frequent in training."""
    y = np.array([0, 1, 1, 2, 1, 0])
    outcome = fitted(np.ones((6, 4)), y, np.arange(6))
    assert outcome.predict(np.zeros((3, 4))).tolist() == [1, 1, 1]
    assert outcome.scaling_.constant == 4
    assert outcome.choice_ is None


def test_one_group_in_training_uses_the_middle_of_the_path() -> None:
    """Where lambda cannot be chosen without leaking, it is not chosen."""
    train, y, _, _ = problem()
    outcome = fitted(train, y, np.zeros(60, dtype=int))
    assert outcome.choice_ is None
    assert outcome.lambda_ == lambda_path(60)[6]


def test_least_loss_among_the_best_scores_decides() -> None:
    """Lambda has the least held-out loss of those within a standard error of the best score; the fit used it."""
    train, y, _, _ = problem()
    outcome = fitted(train, y, np.arange(60) // 5)
    assert outcome.choice_ is not None
    scores, losses = np.array(outcome.choice_.scores), np.array(outcome.choice_.losses)
    close = scores >= scores.max() - np.sqrt(scores.max() * (1 - scores.max()) / 60)
    assert outcome.choice_.best == min(np.flatnonzero(close), key=lambda place: losses[place])
    assert outcome.lambda_ == lambda_path(60)[outcome.choice_.best]


def test_a_cautious_lambda_that_scores_chance_is_not_chosen() -> None:
    """Least loss at chance level does not win over a lambda that tells the classes apart."""
    losses, scores = np.array([2.30, 2.31, 2.35, 2.80]), np.array([0.10, 0.12, 0.28, 0.27])
    assert pick(losses, scores, 240) == 2


@pytest.mark.parametrize(
    ("scores", "best", "edge"),
    [((0.5, 0.9, 0.8), 1, False), ((0.5, 0.6, 0.9), 2, True), ((0.9, 0.9, 0.5), 0, False), ((0.9, 0.5, 0.5), 0, True)],
)
def test_edge_is_flagged_where_accuracy_still_rises(scores: tuple[float, ...], best: int, edge: bool) -> None:
    """The end of the path counts as an edge only if accuracy there beats the lambda beside it."""
    assert Choice((1.0, 1.0, 1.0), scores, best).at_edge is edge


def test_hopeless_penalties_are_not_tried() -> None:
    """Once held-out loss rises and accuracy is past its best, weaker penalties are left out; else all are tried."""
    assert hopeless([2.0, 1.0, 1.1, 1.2], [0.3, 0.6, 0.6, 0.5])
    assert not hopeless([2.0, 1.0, 1.1, 1.2], [0.3, 0.6, 0.6, 0.7])
    assert not hopeless([2.0, 1.0, 1.2, 1.1], [0.3, 0.6, 0.6, 0.5])
    rng = np.random.default_rng(0)
    for rows in (200, 1200):
        train, y, _, _ = problem(n=rows, width=50)
        choice = fitted(train, rng.permutation(y), np.arange(rows), rng).choice_
        assert choice is not None
        assert (len(choice.losses) == 13) == (rows == 200)  # few rows jump: all are tried


def test_blocks_of_rows_change_nothing() -> None:
    """Rows that are worked on in blocks have the scaling and the optimum of rows worked on at once."""
    train, y, _, _ = problem(n=45_000, width=100)
    exact = train.astype(np.float64)
    reference = (exact - exact.mean(axis=0)) / exact.std(axis=0) / 100**0.5
    np.testing.assert_allclose(fit_scaling(train)(train), reference, atol=1e-5)
    weights = fit(reference, y, 1e-3)
    other = LogisticRegression(C=1 / (1e-3 * 45_000), tol=1e-6, max_iter=1000).fit(reference, y)
    theirs = np.vstack([other.coef_.T, other.intercept_])
    assert objective(weights, reference, y, 1e-3) <= objective(theirs, reference, y, 1e-3) * (1 + 1e-6)
