"""Common base of the probes as scikit-learn estimators, for numpy and torch inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from seqff.probes.preprocessing import Array, module_of, to_numpy


class Probe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of rows of features.

    X may be anything scikit-learn accepts, or a torch tensor, which stays on its device. Predictions are tensors on
    the device of X if both X and the labels were tensors, else numpy arrays.
    """

    classes_: NDArray[Any]
    n_features_in_: int

    def predict(self, X: Array) -> Array:
        """Predict the class of each row of X, (m, D)."""
        rows = self._rows(X)
        return self._like_inputs(self.classes_[to_numpy(self._scores(rows)).argmax(axis=1)], X)

    def score(self, X: Array, y: Array, sample_weight: Any = None) -> float:
        """Share of rows classified correctly."""
        if isinstance(X, torch.Tensor):
            return float(np.average(to_numpy(self.predict(X)) == to_numpy(y), weights=sample_weight))
        return float(super().score(X, to_numpy(y), sample_weight))

    def _scores(self, rows: Array) -> Array:
        """Scores of the classes in each row, (m, K); the largest wins."""
        raise NotImplementedError

    def _training(self, X: Array, y: Array) -> tuple[Array, NDArray[np.int64]]:
        """Validated rows and class numbers for training; raises ValueError if they cannot be trained on."""
        if isinstance(X, torch.Tensor):
            labels = to_numpy(y)
            rows = _checked(X)
            if labels.shape != (len(rows),):
                raise ValueError(f"y has shape {labels.shape}; expected ({len(rows)},), one label a row of X")
            self.n_features_in_ = rows.shape[1]
        else:
            rows, labels = validate_data(self, X, to_numpy(y) if isinstance(y, torch.Tensor) else y, dtype=_FLOATS)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"all rows are of one class, {self.classes_[0]!r}; a probe needs 2 classes or more")
        self._tensor_labels = isinstance(y, torch.Tensor)
        return rows, codes.astype(np.int64)

    def _rows(self, X: Array) -> Array:
        """Validate rows to be classified."""
        check_is_fitted(self)
        if not isinstance(X, torch.Tensor):
            return validate_data(self, X, reset=False, dtype=_FLOATS)
        rows = _checked(X)
        if rows.shape[1] != self.n_features_in_:
            name = type(self).__name__
            raise ValueError(f"X has {rows.shape[1]} features, but {name} was fitted on {self.n_features_in_}")
        return rows

    def _like_inputs(self, values: Array, X: Array) -> Array:
        """Return values as a tensor on the device of X if X and the labels were tensors, else as an array."""
        if isinstance(X, torch.Tensor) and self._tensor_labels:
            return torch.as_tensor(values, device=X.device)
        return to_numpy(values)


_FLOATS = (np.float64, np.float32)


def generator(random_state: Any) -> np.random.Generator:
    """A generator from anything that scikit-learn accepts as random_state."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    return np.random.default_rng(check_random_state(random_state).randint(2**31))


def group_numbers(groups: Any, rows: int) -> NDArray[np.int64]:
    """Group number of each row, (n,); without groups, each row is its own. ValueError: not one group per row."""
    if groups is None:
        return np.arange(rows)
    numbers = np.unique(to_numpy(groups), return_inverse=True)[1]
    if len(numbers) != rows:
        raise ValueError(f"groups has {len(numbers)} entries, X has {rows} rows; they must be as many")
    return numbers.astype(np.int64)


def match(rows: Array, like: Array) -> Array:
    """Convert rows to the type and device of the training rows."""
    if isinstance(like, torch.Tensor):
        return torch.as_tensor(rows, device=like.device)
    return to_numpy(rows)


def softmax(logits: Array) -> Array:
    """Probabilities of the classes, (m, K)."""
    xp = module_of(logits)
    odds = xp.exp(logits - xp.amax(logits, axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _checked(x: torch.Tensor) -> torch.Tensor:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"X has shape {tuple(x.shape)}; expected (rows, features), one of each at least")
    if not x.is_floating_point():
        x = x.float()
    if not bool(torch.isfinite(x).all()):
        raise ValueError("X holds values that are not finite")
    return x.detach()
