"""From a folder of videos to a table of what each layer's features are worth; reads top to bottom.

Run it as it is (it makes 40 small clips and takes less than half a minute), or put in your own folder:
    python examples/features_of_a_folder.py [VIDEOS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import seqff
from seqff.config import PairsConfig, TrainConfig
from seqff.pairs.synthetic import write_digit_clips


def main() -> None:
    """Train, extract, probe."""
    out = Path(tempfile.mkdtemp(prefix="seqff-example-"))
    videos = Path(sys.argv[1]) if len(sys.argv) > 1 else out / "videos"
    if len(sys.argv) == 1:
        write_digit_clips(videos, clips=40)

    # Which files are sound, how many frames they really have, how they can be read without a wrong frame.
    manifest = seqff.scan(videos, out=out / "manifest.json")
    print(manifest.summary())

    # Every layer learns by itself. The settings are plain dataclasses; what is not named keeps its default.
    config = TrainConfig(steps=10, pairs=PairsConfig(gap=2, clip_frames=4, far=8))
    run = seqff.train(videos, out=out / "run", config=config)
    for name, value in run.metrics.items():
        if name.endswith("/loss"):
            print(f"{name} {value:.3f}")

    # One array a layer: the trained net, the same net untrained, and raw pixels, from one pass over the videos.
    features = seqff.extract(run.path, videos, out=out / "features")
    print(features.names, features.to_numpy("layer2").shape)

    # 40 clips are too few for these numbers to mean anything (`seqff demo` takes 800); the way is the same.
    # Splits are by whole videos. Here every video is its own group; give `groups` for subjects, cameras, days.
    result = seqff.probe(features, labels="folder", out=out / "probe")
    print(result.table())

    # The encoder is a torch module; its transform takes decoded frames, uint8 (N, H, W, 3).
    encoder = seqff.load(run.path)
    with seqff.open_video(manifest.path(manifest.usable[0])) as reader:
        height, width = encoder.transform.decode_size(reader.info.height, reader.info.width)
    with seqff.open_video(manifest.path(manifest.usable[0]), size=(height, width)) as reader:
        maps = encoder(encoder.transform(reader.at([0, 5, 3])))
    print([tuple(h.shape) for h in maps])
    print(f"everything is in {out}")


if __name__ == "__main__":
    main()
