"""The probes as scikit-learn estimators, on arrays and on tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from seqff.probes import KNNProbe, LinearProbe, RidgeProbe

PROBES = [LinearProbe(), RidgeProbe(), KNNProbe()]


def rows(n: int = 120, width: int = 12, classes: int = 3, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return rng.normal(size=(classes, width))[y] + rng.normal(size=(n, width)), y


@parametrize_with_checks(PROBES)
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    """Every check that scikit-learn has for a classifier passes, none is left out."""
    check(estimator)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: type(probe).__name__)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_tensors_give_the_answers_of_arrays(probe: Any, device: str) -> None:
    """Tensors in, tensors out, where they lay; the same answers as from arrays."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = rows()
    expected = probe.fit(x[:80], y[:80]).predict(x[80:])
    on = torch.from_numpy(x).to(device)
    labels = torch.from_numpy(y).to(device)
    found = probe.fit(on[:80], labels[:80]).predict(on[80:])
    assert isinstance(found, torch.Tensor)
    assert found.device == on.device
    assert np.array_equal(found.cpu().numpy(), expected)
    assert probe.score(on[80:], labels[80:]) == pytest.approx((expected == y[80:]).mean())
    assert isinstance(probe.fit(on[:80], y[:80].astype(str)).predict(on[80:])[0], str)


def test_bad_tensors_are_refused() -> None:
    """What scikit-learn would refuse as an array is refused as a tensor."""
    x, y = (torch.from_numpy(part) for part in rows())
    with pytest.raises(ValueError, match="not finite"):
        LinearProbe().fit(x / 0, y)
    with pytest.raises(ValueError, match="one label a row"):
        LinearProbe().fit(x, y[:5])
    with pytest.raises(ValueError, match="fitted on 12"):
        LinearProbe().fit(x, y).predict(x[:, :4])
    with pytest.raises(ValueError, match="as many"):
        LinearProbe().fit(x, y, groups=y[:5])


def test_ridge_is_scikit_learns() -> None:
    """At one penalty the scores are those of RidgeClassifier on the same scaled rows."""
    x, y = rows()
    probe = RidgeProbe([1e-2]).fit(x[:80], y[:80])
    scale = probe.scaling_
    other = RidgeClassifier(alpha=1e-2 * 80).fit(scale(x[:80]), y[:80])
    np.testing.assert_allclose(probe.decision_function(x[80:]), other.decision_function(scale(x[80:])), atol=1e-8)


def test_neighbours_are_scikit_learns() -> None:
    """The votes are those of scikit-learn's neighbours on the same directions, for each k as if asked for alone."""
    x, y = rows()
    probe = KNNProbe(10).fit(x[:80], y[:80])
    train, test = (part / np.linalg.norm(part, axis=1)[:, None] for part in map(probe.scaling_, (x[:80], x[80:])))
    both = probe.votes(x[80:], [10, 40])
    for k, votes in zip((10, 40), both, strict=True):
        # |a - b|^2 = 2 - 2 cosine
        other = KNeighborsClassifier(k, weights=lambda d: np.exp(-np.square(d) / 2 / 0.07)).fit(train, y[:80])
        np.testing.assert_allclose(votes.numpy(), other.predict_proba(test), atol=1e-8)
    np.testing.assert_array_equal(both[0].numpy(), probe.predict_proba(x[80:]))


def test_they_work_in_scikit_learns_tools() -> None:
    """Grid search and cross-validation take them like any classifier."""
    x, y = rows()
    assert cross_val_score(LinearProbe(), x, y, cv=2).mean() > 0.8
    assert GridSearchCV(KNNProbe(), {"n_neighbors": [1, 20]}, cv=2).fit(x, y).best_score_ > 0.8
