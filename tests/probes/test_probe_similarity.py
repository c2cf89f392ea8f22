"""Linear CKA, RSA and effective rank on features of known similarity."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqff.errors import RunError
from seqff.features import StoredVideo, write_store
from seqff.probes import similarity


def store(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    videos = [StoredVideo(f"{i}.avi", str(i), 1) for i in range(len(next(iter(arrays.values()))))]
    return write_store(path, arrays, videos=videos).path


def test_rotation_and_scale_do_not_matter_and_noise_is_unlike(tmp_path: Path) -> None:
    """CKA is 1 for the same features rotated and scaled, about 0 for unrelated ones, however wide; RSA follows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 30))
    rotated = 5 * x @ np.linalg.qr(rng.normal(size=(30, 30)))[0] + 2
    arrays = {"layer1": x, "layer2": rotated, "layer3": rng.normal(size=(80, 2000)), "layer4": np.ones((80, 3))}
    found = similarity([store(tmp_path / "a", arrays)], out=tmp_path / "similarity.json")
    assert found.cka[0, 1] == pytest.approx(1, abs=1e-5)
    assert abs(found.cka[0, 2]) < 0.15  # the biased estimate would be 0.5
    assert abs(found.rsa[0, 2]) < 0.15
    assert found.rsa[0, 1] > 0.8
    np.testing.assert_allclose(found.cka[:3, :3], found.cka[:3, :3].T)
    assert np.isnan(found.cka[3]).all()
    content = json.loads((tmp_path / "similarity.json").read_text())
    assert content["cka"][3][0] is None
    assert content["effective_rank"]["layer4"] == 0
    with pytest.raises(RunError, match="overwrite replaces it"):
        similarity([tmp_path / "a"], out=tmp_path / "similarity.json")


def test_cka_is_the_unbiased_estimate(tmp_path: Path) -> None:
    """It is the ratio of the three unbiased HSIC of Song et al. 2012, written out as there."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 5))
    y = x[:, :3] + rng.normal(size=(12, 3))

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        n = len(a)
        k, l = (part @ part.T for part in (a, b))  # noqa: E741
        np.fill_diagonal(k, 0)
        np.fill_diagonal(l, 0)
        one = np.ones(n)
        middle = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
        return float((np.trace(k @ l) + middle - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3)))

    found = similarity([store(tmp_path / "a", {"layer1": x, "layer2": y})])
    assert found.cka[0, 1] == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)), abs=1e-5)


def test_effective_rank_counts_directions(tmp_path: Path) -> None:
    """Features that vary along three directions alike have rank 3 whatever their width."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(100, 3)))[0]
    x = np.linalg.qr(rng.normal(size=(60, 3)) - 0)[0]
    x = np.linalg.qr(x - x.mean(axis=0))[0] @ basis.T
    found = similarity([store(tmp_path / "a", {"layer1": x})])
    assert found.ranks[0] == pytest.approx(3, abs=0.01)


def test_runs_are_compared_layer_by_layer(tmp_path: Path) -> None:
    """Several stores of the same videos: names carry the store, layers can be chosen, rows are drawn alike."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 10))
    paths = [store(tmp_path / run / "features", {"layer1": x + n, "layer2": -x}) for n, run in enumerate("ab")]
    found = similarity(paths, layers=["layer1"], rows=20)
    assert found.names == ("a:layer1", "b:layer1")
    assert found.rows == 20
    assert found.cka[0, 1] == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="did you mean 'layer1'"):
        similarity(paths, layers=["layer_1"])
