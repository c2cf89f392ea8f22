"""tools/knn_probe.py reproduces the nearest neighbors of the protocol."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from seqff.features import FeatureStore
from seqff.probes import probe

TOOL = Path(__file__).resolve().parents[2] / "tools/knn_probe.py"


def test_it_agrees_with_the_protocol(
    make_store: Callable[..., FeatureStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same folds, the same votes, the same accuracies for every k; a wrong label is one line."""
    store = make_store(subjects=8, signal=1.0, names_kept=("layer1",))
    main = runpy.run_path(str(TOOL))["main"]
    assert main([str(store.path), "--folds", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    result = probe(store, labels="folder", folds=2, out=None, progress=False)
    assert found["layer1"] == {str(k): value for k, value in result.layers[0].trained.knn.items()}
    assert main([str(store.path)]) == 0
    assert "k=200" in capsys.readouterr().out
    assert main([str(store.path), "--labels", "nowhere.csv"]) == 1
    assert "no such file of labels" in capsys.readouterr().err
