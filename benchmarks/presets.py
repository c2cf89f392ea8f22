"""Train, extract and probe every preset on the same videos, and print one table a preset.

Examples (what is finished already is not done again):
    python benchmarks/presets.py ../shared/data/weizmann --groups '(?P<group>[a-z]+)_' --steps 300 --out runs/presets
    python benchmarks/presets.py --steps 300 --out runs/presets-digits    (without VIDEOS: the demo's digit clips)
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from seeds import one_seed, table

from seqff.config_io import load_preset
from seqff.pairs.synthetic import write_digit_clips
from seqff.presets import PRESETS


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="?", default=None, help="folder of videos; without it clips are made")
    parser.add_argument("--presets", nargs="+", choices=sorted(PRESETS), default=sorted(PRESETS))
    parser.add_argument("--clips", type=int, default=300, help="how many clips are made")
    parser.add_argument("--labels", default="folder")
    parser.add_argument("--groups", default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--out", default="runs/presets")
    options = parser.parse_args()
    out = Path(options.out)
    if options.videos is None:
        options.videos = out / "videos"
        if not options.videos.exists():
            write_digit_clips(options.videos, clips=options.clips, seed=0)
    if not Path(options.videos).exists():
        print(f"skipped: {options.videos} is not there", file=sys.stderr)
        return 0
    everything = {}
    for name in options.presets:
        config = load_preset(name)
        if options.steps:
            config = replace(config, steps=options.steps)
        results = [
            one_seed(
                config,
                seed,
                videos=options.videos,
                out=out / name,
                labels=options.labels,
                groups=options.groups,
            )
            for seed in options.seeds
        ]
        everything[name] = results
        print(f"\n{name}: {PRESETS[name].text}\n\n{table(results)}", flush=True)
    (out / "presets.json").write_text(json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
