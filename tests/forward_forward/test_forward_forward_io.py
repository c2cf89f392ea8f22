"""A saved Forward-Forward net makes the same predictions; other files are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from seqff import ForwardForward, SeqffError, load_forward_forward, save_forward_forward

DIGITS = load_digits()


def test_a_net_comes_back_with_its_softmax(tmp_path: Path) -> None:
    net = ForwardForward((40, 30), batch=50, seed=3).fit(DIGITS.images, DIGITS.target, epochs=2, progress=False)
    save_forward_forward(net, tmp_path / "net.safetensors")
    back = load_forward_forward(tmp_path / "net.safetensors")
    some = DIGITS.images[:200]
    assert np.array_equal(back.goodness(some), net.goodness(some))
    assert np.array_equal(back.predict(some, by="softmax"), net.predict(some, by="softmax"))
    assert (back.widths, back.mode, back.batch, back.seed) == (net.widths, net.mode, net.batch, net.seed)


def test_an_unsupervised_net_comes_back(tmp_path: Path) -> None:
    net = ForwardForward((30,), mode="unsupervised", batch=50).fit(DIGITS.images, epochs=1, progress=False)
    save_forward_forward(net, tmp_path / "net.safetensors")
    back = load_forward_forward(tmp_path / "net.safetensors")
    assert np.array_equal(back.features(DIGITS.images[:50]), net.features(DIGITS.images[:50]))


def test_what_is_no_net_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="call fit"):
        save_forward_forward(ForwardForward((10,)), tmp_path / "net.safetensors")
    with pytest.raises(SeqffError, match="no such file"):
        load_forward_forward(tmp_path / "net.safetensors")
    (tmp_path / "pickle").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(SeqffError, match="cannot be loaded"):
        load_forward_forward(tmp_path / "pickle")
