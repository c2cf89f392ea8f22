"""Videos in tar files train and extract like the folder that was packed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
from helpers.small_runs import CONFIG, weights

import seqff
from seqff.training.checkpoint import list_checkpoints
from seqff.video import Manifest


def test_training_and_features_are_those_of_the_folder(
    clips: Path, manifest: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    """Trained from tar files, with a decoding process, stopped and resumed: same weights, same features."""
    shards = seqff.pack(clips, out=tmp_path / "shards", shard_mb=0.04, progress=False)
    assert len(shards) > 1
    packed = tmp_path / "m.sqlite"
    seqff.scan(tmp_path / "shards", out=packed, progress=False)
    hashes = {entry.path.partition("/")[2]: entry.content_hash for entry in Manifest.load(packed)}
    assert hashes == {entry.path: entry.content_hash for entry in Manifest.load(manifest)}
    run, config = tmp_path / "run", dataclasses.replace(CONFIG, workers=1)
    seqff.train(packed, out=run, config=config, progress=False)
    (run / "encoder.safetensors").unlink()
    shutil.rmtree(list_checkpoints(run)[-1])
    seqff.train(packed, out=run, config=config, resume=True, progress=False)
    assert weights(run) == weights(uninterrupted)
    stores = [
        seqff.extract(uninterrupted, videos, out=tmp_path / name, workers=2, progress=False)
        for name, videos in (("near", manifest), ("far", packed))
    ]
    for name in stores[0].names:
        assert np.array_equal(stores[0].to_numpy(name), stores[1].to_numpy(name))
