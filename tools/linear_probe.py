"""Extract and probe in one step: accuracy of each layer of a run, compared with the untrained net and raw pixels.

Example:
    python tools/linear_probe.py runs/first videos/ --groups '(?P<group>[a-z]+)_'
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import seqff


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of `seqff train`")
    parser.add_argument("videos", type=Path, help="folder of videos, a video, or a manifest (*.json)")
    parser.add_argument("--labels", default="folder", help="'folder' (default: LABEL/name.mp4) or a CSV video,label")
    parser.add_argument("--groups", help="'folder', a CSV video,group, or a regular expression for the file name")
    parser.add_argument("--out", type=Path, help="folder for features/ and probe/ (default: RUN/linear_probe)")
    parser.add_argument("--folds", type=int, help="folds (default: one per group up to 20 groups, else 5)")
    parser.add_argument("--per", choices=("video", "frame"), default="video", help="one row per video or per frame")
    parser.add_argument("--grid", type=int, default=2, help="cells along each side over which maps are averaged")
    parser.add_argument("--every", type=int, default=1, help="use every n-th frame")
    parser.add_argument("--max-bad", type=float, default=0.05, help="largest share of videos that may be unreadable")
    parser.add_argument("--seed", type=int, default=0, help="seed of the folds and the bootstrap")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="device of the nets")
    parser.add_argument("--overwrite", action="store_true", help="replace existing features and results")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Extract (or use existing features), probe, and print the table."""
    options = parse(arguments)
    out: Path = options.out or options.run / "linear_probe"
    try:
        features = seqff.extract(
            options.run,
            options.videos,
            out=out / "features",
            per=options.per,
            grid=options.grid,
            every=options.every,
            device=options.device,
            resume=not options.overwrite,
            overwrite=options.overwrite,
            max_bad=options.max_bad,
        )
        result = seqff.probe(
            features,
            labels=options.labels,
            groups=options.groups,
            out=out / "probe",
            folds=options.folds,
            seed=options.seed,
            device=options.device,
            overwrite=options.overwrite,
        )
    except (seqff.SeqffError, OSError, ValueError) as error:
        print(f"linear_probe: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result.to_dict(), indent=1, allow_nan=False) if options.json else result.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
