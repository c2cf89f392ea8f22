"""One small run on clips with hostile names, one of them broken, and a probe of it with a hostile label."""

from __future__ import annotations

import csv

import pytest
from helpers.hostile import STEPS, Made, write_videos

from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.features import extract
from seqff.probes import probe
from seqff.report import report
from seqff.train import train
from seqff.video import scan


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The whole way once; not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    made = Made(folder / "videos", folder / "manifest.json", folder / "run", folder / "probe", folder / "page.html")
    labels = folder / "labels.csv"
    with labels.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows([("video", "label"), *write_videos(made.videos)])
    scan(made.videos, out=made.manifest, max_bad=0.2, workers=1, progress=False)
    config = TrainConfig(
        steps=STEPS,
        log_every=1,
        monitor_every=2,
        encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
        objective=ObjectiveConfig(head_out=4, grid=(2,)),
        pairs=PairsConfig(size_px=16, far=6, videos_per_batch=3, clips_per_video=2, clip_frames=3),
    )
    train(made.manifest, out=made.run, config=config, seed=3, device="cpu", max_bad=0.2, progress=False)
    extract(made.run, made.manifest, out=folder / "features", device="cpu", max_bad=0.2, progress=False)
    probe(folder / "features", labels=str(labels), folds=2, out=made.probe, progress=False)
    report(made.run, [made.probe], out=made.page, follow=2, device="cpu", progress=False)
    return made
