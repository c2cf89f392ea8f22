"""The benchmark of the training step runs on narrow nets; its numbers are not checked here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import speed
from seqff.config import EncoderConfig
from seqff.devices import choose_precision


def test_every_net_gives_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ratios, limits, layouts and shares of time come out in Markdown and JSON."""
    small = ["--nets", "pooled", "--widths", "4", "--repeats", "1", "--no-default", "--precisions", "fp32"]
    assert speed.main([*small, "--layouts", "--profile", "--json", str(tmp_path / "s.json")]) == 0
    lines = json.loads((tmp_path / "s.json").read_text())["lines"]
    assert [(line["net"], line["width"]) for line in lines] == [("pooled", 4)]
    for line in lines:
        seconds = line["seconds"]
        assert line["end_to_end"]["ratio"] == pytest.approx(seconds["end_to_end"] / seconds["local"])
        assert set(line["contiguous_over_channels_last"]) == set(line["where"]) == {"local", "end_to_end"}
        assert sum(line["where"]["local"].values()) == pytest.approx(1)
    assert len([text for text in capsys.readouterr().out.splitlines() if text.startswith("|")]) == len(lines) + 2


@pytest.mark.skipif(
    choose_precision("auto", torch.device("cpu")) == torch.bfloat16, reason="this processor has instructions for bf16"
)
def test_bf16_is_left_out_with_a_reason_where_it_is_emulated(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is measured, and the reason is printed."""
    assert speed.main(["--precisions", "bf16", "--widths", "4"]) == 0
    said = capsys.readouterr().out
    assert "no AVX512-BF16" in said
    assert "constant 4" not in said


def test_the_limit_is_that_of_the_nets_own_convolutions() -> None:
    """(3L - 1) / 2L for L equal layers; the first layer's stride and channels count, and a pooling does after it."""
    same = EncoderConfig(widths=(3,) * 4, kernels=(3,) * 4, strides=(1,) * 4, pools=(1,) * 4)
    assert speed.limit(same, 8) == pytest.approx(11 / 8)
    halved = EncoderConfig(widths=(4, 8), kernels=(3, 1), strides=(2, 1), pools=(2, 1))
    assert speed.forward_flops(halved, 8) == [2 * 16 * 9 * 3 * 4, 2 * 4 * 4 * 8]
