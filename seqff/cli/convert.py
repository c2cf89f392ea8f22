"""`seqff convert`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqff.cli.arguments import Json, Run, call_arguments, print_json, show


@dataclass(frozen=True)
class Options:
    """Export an encoder, or an encoder with the head of a probe, for use without seqff.

    Reads:  a run folder that `seqff train` wrote, or the folder of a pretrained encoder; the folder of a probe.

    Writes: FILE.pt2 for torch.export.load, or FILE.onnx (pip install 'seqff[onnx]'): maps decoded frames,
            (N, height, width, 3) uint8 RGB, to one map (N, channels, rows, columns) per layer. A name without
            extension becomes a folder for the Hugging Face Hub: config.json, model.safetensors, README.md (the model
            card). With --probe the file maps frames to the probability of each class.

    Example: seqff convert runs/first --out first.onnx --layers 1 2
             seqff convert runs/first --probe probes/first --out classes.onnx
    """

    run: Run
    out: Path
    """File (.pt2 or .onnx) or folder."""
    layers: tuple[str, ...] = ()
    """Layers to return, by name or index (0 is the first, -1 the last); by default all. With --probe, the layer of the
    head, at most one; by default the one with the best accuracy in the probe."""
    probe: Path | None = None
    """Folder that `seqff probe` wrote."""
    overwrite: bool = False
    """Replace an existing file or folder."""
    json: Json = False


def run(options: Options) -> None:
    """Convert, and print the path."""
    from seqff.convert import convert

    path = convert(**call_arguments(options))
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if options.json:
        print_json({"path": str(path), "bytes": {file.name: file.stat().st_size for file in files}})
    else:
        show(f"written: {path} ({sum(file.stat().st_size for file in files) / 1e6:.1f} MB)")
