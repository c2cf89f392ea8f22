"""Exported encoders give the same numbers, for any number of frames."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

import seqff
from seqff.cli import main
from seqff.config import EncoderConfig
from seqff.convert import convert
from seqff.errors import RunError
from seqff.nets import Encoder, build_encoder, save_encoder
from seqff.transform import FrameTransform

SMALL = {"widths": (4, 6), "kernels": (5, 3), "strides": (2, 1), "pools": (1, 2)}
CONFIGS = {
    "conv": EncoderConfig(**SMALL),  # type: ignore[arg-type]
    "whitening": EncoderConfig(**SMALL, norm="whitening"),  # type: ignore[arg-type]
    "resnet18": EncoderConfig(name="resnet18"),
}
FRAMES = torch.randint(0, 256, (5, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NO_ONNX = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]


def encoder_of(name: str) -> Encoder:
    """An encoder whose statistics are not fresh."""
    encoder = build_encoder(CONFIGS[name], FrameTransform(32, 48))
    with torch.no_grad():
        encoder(torch.randn(6, 3, 32, 48, generator=torch.Generator().manual_seed(1)))
    return encoder.eval()


def maps_of(encoder: Encoder, frames: torch.Tensor) -> list[torch.Tensor]:
    """What the encoder makes of decoded frames."""
    with torch.no_grad():
        return encoder(encoder.transform(frames))


@pytest.mark.parametrize("name", CONFIGS)
def test_an_exported_program_computes_the_same(name: str, tmp_path: Path) -> None:
    """torch.export: for one frame and for five, the maps of all layers, from frames as they are decoded."""
    encoder = encoder_of(name)
    program = torch.export.load(convert(encoder, out=tmp_path / "encoder.pt2")).module()
    for count in (1, 5):
        found, expected = program(FRAMES[:count]), maps_of(encoder, FRAMES[:count])
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


@pytest.mark.skipif(bool(NO_ONNX), reason=f"not installed: {', '.join(NO_ONNX)}")
@pytest.mark.parametrize("name", ["conv", "resnet18"])
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_an_onnx_file_computes_the_same(name: str, tmp_path: Path) -> None:
    """ONNX: the maps of the layers asked for, under their names, for one frame and for five."""
    import onnxruntime

    encoder = encoder_of(name)
    path = convert(encoder, out=tmp_path / "encoder.onnx", layers=(-1, 0))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [encoder.feature_info[layer].name for layer in (-1, 0)]
    assert [output.name for output in session.get_outputs()] == names
    for count in (1, 5):
        found = session.run(names, {"frames": FRAMES[:count].numpy()})
        expected = maps_of(encoder, FRAMES[:count])
        for mine, theirs in zip(found, (expected[-1], expected[0]), strict=True):
            np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-4, rtol=1e-3)


def test_the_command_takes_layers_and_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`seqff convert RUN`: the layers asked for, in their order; a file that is there stays, unless told otherwise."""
    save_encoder(encoder_of("conv"), tmp_path / "run")
    out = tmp_path / "encoder.pt2"
    command = ["convert", str(tmp_path / "run"), "--out", str(out), "--layers", "1", "0"]
    assert main(command) == 0
    shapes = [tuple(maps.shape) for maps in torch.export.load(out).module()(FRAMES)]
    assert shapes == [(5, 6, 8, 12), (5, 4, 16, 24)]
    assert main(command) == 1
    assert "exists; give another name" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_what_cannot_be_converted_is_said(tmp_path: Path) -> None:
    """An unknown ending, a layer that is not there, layers for a folder, ONNX without its packages."""
    encoder = encoder_of("conv")
    with pytest.raises(ValueError, match=r"ends with \.pth; choose from \.pt2, \.onnx, or give a folder"):
        seqff.convert(encoder, out=tmp_path / "encoder.pth")
    with pytest.raises(IndexError, match=r"layers 0\.\.1"):
        seqff.convert(encoder, out=tmp_path / "encoder.pt2", layers=[2])
    with pytest.raises(ValueError, match="a folder holds the whole encoder"):
        seqff.convert(encoder, out=tmp_path / "encoder", layers=[1])
    if "onnx" in NO_ONNX:
        with pytest.raises(RunError, match=r"ONNX files need the package onnx: pip install 'seqff\[onnx\]'"):
            seqff.convert(encoder, out=tmp_path / "encoder.onnx")
    assert not list(tmp_path.iterdir())
