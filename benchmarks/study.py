"""What each setting of the default recipe does: one change at a time, on sets made for choosing and never reported.

    python benchmarks/study.py ../shared/data --out runs/study
    python benchmarks/study.py ../shared/data --changes "gap 4" "no head" --seeds 0 1 2 --steps 600
    python benchmarks/study.py ../shared/data --changes "gap 4" "no head" --seeds 0 1 2 --steps 250 --size-px 48

The sets: six of Weizmann's nine subjects, leave one out; Fashion-MNIST moving over black, over a static texture and
over a moving one, and turning in place; MNIST moving over a moving texture. Their test clips show other pictures of the
training part. Solids of ten kinds that turn, each in a colour of its own, and all nine subjects with one wall behind
them are there to see what fails. A line a change: points over the same layer untrained, and what the trained layers
gain over those of the unchanged recipe, paired by seed. Finished work is not done again. Writes study.md and
study.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from quality import one_run
from quality_sets import STUDY_SETS

from seqff.config import TrainConfig
from seqff.config_io import from_dict

UNCHANGED = "none: the defaults"
HINGE = {"terms": ["temporal_hinge"]}
SHARED = {"photometric": "shared", "colour": 0.0}
BEFORE = {"pairs": SHARED, "optim": {"name": "adamw", "head_lr": 0.1}}
COARSE = {"grid": [2]}
WITHIN = {"infonce": {"temperature": 0.2}}


def tolerance(first: float, last: float) -> dict[str, Any]:
    """A geometric schedule."""
    return {"objective": {"tolerance_range": [first, last]}}


CHANGES: dict[str, dict[str, Any]] = {
    UNCHANGED: {},
    "temporal hinge alone": {"objective": HINGE},
    "video hinge for InfoNCE between videos": {"objective": {"terms": ["temporal_hinge", "video_hinge:2"]}},
    "InfoNCE between videos at full weight": {"objective": {"video_infonce": {"share": "fixed"}}},
    "InfoNCE between videos at weight 0.3": {
        "objective": {"terms": ["temporal_hinge", "video_infonce:0.3"], "video_infonce": {"share": "fixed"}}
    },
    "InfoNCE between videos, temperature 0.2": {"objective": {"video_infonce": {"temperature": 0.2}}},
    "InfoNCE between videos, temperature 0.05": {"objective": {"video_infonce": {"temperature": 0.05}}},
    "InfoNCE between videos weighs double": {"objective": {"terms": ["temporal_hinge", "video_infonce:2"]}},
    "InfoNCE between videos weighs half": {"objective": {"terms": ["temporal_hinge", "video_infonce:0.5"]}},
    "InfoNCE within videos for the hinge": {"objective": {"terms": ["infonce", "video_infonce"], **WITHIN}},
    "InfoNCE within videos besides": {"objective": {"terms": ["temporal_hinge", "infonce", "video_infonce"], **WITHIN}},
    "VICReg alone": {"objective": {"terms": ["vicreg"]}},
    "half of the negatives from other videos, one head": {"objective": {**HINGE, "same_video": 0.5}},
    "gap 2": {"pairs": {"gap": 2, "stretch_frames": 3}},
    "gap 4": {"pairs": {"gap": 4, "every": 4, "stretch_frames": 5}},
    "far 4": {"pairs": {"far": 4}},
    "far 16": {"pairs": {"far": 16}},
    "4 hard negatives": {"objective": {"negatives": "hard", "negatives_k": 4}},
    "negatives weigh half": {"objective": {"negative_weight": 0.5}},
    "negatives weigh double": {"objective": {"negative_weight": 2.0}},
    "margin 1": {"objective": {"margin": 1.0}},
    "no head": {"objective": {"head": "none"}},
    "mlp head": {"objective": {"head": "mlp"}},
    "loss grid 1": {"objective": {"grid": [1]}},
    "loss grid 2": {"objective": COARSE},
    "loss grid 4": {"objective": {"grid": [4]}},
    "tolerance 0": {"objective": {"tolerance": "constant", "tolerance_range": [0.0, 0.0]}},
    "tolerance 0.6 falling to 0.1": tolerance(0.6, 0.1),
    "tolerance 0.4 falling to 0.025": tolerance(0.4, 0.025),
    "tolerance 0.1 rising to 0.6": tolerance(0.1, 0.6),
    "tolerance calibrated": {"objective": {"tolerance": "calibrated"}},
    "tolerance calibrated to 0.9 falling to 0.7": {
        "objective": {"tolerance": "calibrated", "tolerance_quantiles": [0.9, 0.7]}
    },
    "rms norm between layers": {"encoder": {"norm": "rms"}},
    "batch norm between layers": {"encoder": {"norm": "batch"}},
    "no norm between layers": {"encoder": {"norm": "none"}},
    "a crop for each stretch": {"pairs": {"augment": "stretch"}},
    "a crop for each frame": {"pairs": {"augment": "independent"}},
    "crops of 0.65": {"pairs": {"crop": 0.65}},
    "no change of exposure or colours": {"pairs": {"jitter": 0.0, "colour": 0.0}},
    "exposure shared, colours as they are": {"pairs": SHARED},
    "exposure and colours shared": {"pairs": {"photometric": "shared"}},
    "colours as they are": {"pairs": {"colour": 0.0}},
    "exposure twice as strong": {"pairs": {"jitter": 0.4}},
    "before: exposure shared, colours as they are, heads at a tenth, loss grid 2": {"objective": COARSE, **BEFORE},
    "temporal hinge alone, and before": {"objective": HINGE | COARSE, **BEFORE},
    "half as wide": {"encoder": {"widths": [8, 16, 64, 128]}},
    "twice as wide": {"encoder": {"widths": [32, 64, 256, 512]}},
    "3 x 3 kernels, pooling instead of a stride": {
        "encoder": {"kernels": [3, 3, 3, 3], "strides": [1, 1, 1, 1], "pools": [2, 2, 2, 1]}
    },
    "no stride, pooling after every layer but the last": {"encoder": {"strides": [1, 1, 1, 1], "pools": [2, 2, 2, 1]}},
    "InfoNCE between videos alone": {"objective": {"terms": ["video_infonce"]}},
    "32 videos a batch, 2 stretches each": {"pairs": {"videos_per_batch": 32, "stretches": 2}},
    "six layers": {
        "encoder": {
            "widths": [16, 32, 128, 256, 256, 256],
            "kernels": [7, 5, 3, 3, 3, 3],
            "strides": [2, 1, 1, 1, 1, 1],
            "pools": [1, 2, 2, 1, 1, 1],
        }
    },
    "greedy, the same steps in all": {"trainer": "greedy"},
    "each loss reaches the layer below": {"trainer": "overlap"},
    "half the steps": {"steps": 0.5},
    "twice the steps": {"steps": 2.0},
    "three times the steps": {"steps": 3.0},
    "weights averaged with decay 0.99": {"optim": {"ema": 0.99}},
    "heads as fast as layers": {"optim": {"head_lr": 1.0}},
    "heads at a tenth of the rate": {"optim": {"head_lr": 0.1}},
    "heads at a thirtieth of the rate": {"optim": {"head_lr": 0.03}},
    "heads that rest": {"optim": {"head_lr": 0.0}},
    "twice the rate, heads as fast as layers": {"optim": {"lr": 4e-3, "head_lr": 1.0}},
    "twice the rate, heads at a seventh of it": {"optim": {"lr": 4e-3, "head_lr": 0.15}},
    "mlp head, as fast as layers": {"objective": {"head": "mlp"}, "optim": {"head_lr": 1.0}},
    "AdamW": {"optim": {"name": "adamw"}},
    "learning rate 0.0004, heads as slow": {"optim": {"lr": 4e-4, "head_lr": 1.5}},
    "learning rate 0.0008, heads as slow": {"optim": {"lr": 8e-4, "head_lr": 0.75}},
    "learning rate 0.0016, heads as slow": {"optim": {"lr": 1.6e-3, "head_lr": 0.375}},
    "learning rate 0.003, heads as slow": {"optim": {"lr": 3e-3, "head_lr": 0.2}},
    "learning rate 0.001": {"optim": {"lr": 1e-3}},
    "learning rate 0.004": {"optim": {"lr": 4e-3}},
    "with VICReg, weight 0.02": {"objective": {"terms": ["temporal_hinge", "video_infonce", "vicreg:0.02"]}},
    "end to end": {"trainer": "end_to_end"},
    "end to end, losses of all layers": {"trainer": "end_to_end_sum"},
}
"""Settings that differ from the defaults; `steps` is a factor."""


def changed(change: Mapping[str, Any], steps: int, size_px: int) -> TrainConfig:
    """Make the settings of a change."""
    config = from_dict(TrainConfig, {name: value for name, value in change.items() if name != "steps"})
    pairs = replace(config.pairs, size_px=size_px, cache="u8")  # the same frames, decoded once for the whole study
    return replace(config, pairs=pairs, steps=round(steps * change.get("steps", 1)))


def gains(
    rows: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]], column: str
) -> list[float]:
    """Percentage points of the trained layers over a column of another result; layers are aligned from the last."""
    mine, theirs = ([name for name in which if name.startswith("layer")] for which in (rows, other))
    pairs = zip(reversed(mine), reversed(theirs), strict=False)
    return [100 * (rows[own]["trained"] - other[base][column]) for own, base in pairs][::-1]


def line(name: str, found: list[dict[str, Any]], base: list[dict[str, Any]]) -> str:
    """Markdown: over untrained, layer by layer, and the mean over the last four layers against the unchanged recipe."""
    over = np.mean([gains(result["rows"], result["rows"], "untrained") for result in found], axis=0)
    pairs = [np.mean(gains(one["rows"], of["rows"], "trained")) for one, of in zip(found, base, strict=True)]
    spread = f" ({min(pairs):+.1f} to {max(pairs):+.1f})" if len(pairs) > 1 else ""
    best = np.mean([result["rows"]["best"]["trained"] for result in found])
    return f"| {name} | {' '.join(f'{value:+.1f}' for value in over)} | {best:.3f} | {np.mean(pairs):+.1f}{spread} |"


def main() -> int:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder with weizmann/ and images/")
    parser.add_argument("--sets", nargs="+", choices=sorted(STUDY_SETS), default=sorted(STUDY_SETS))
    parser.add_argument("--changes", nargs="+", choices=sorted(CHANGES), default=list(CHANGES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size-px", type=int, default=64, help="shorter side of the frames")
    parser.add_argument("--out", default="runs/study")
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    everything: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name in options.sets:
        needs, prepare = STUDY_SETS[name]
        if not (Path(options.data) / needs).exists():
            print(f"{name} skipped: {Path(options.data) / needs} is not there", file=sys.stderr)
            continue
        videos = prepare(Path(options.data), out / "videos")
        lines += [
            f"\n{name}, {options.steps} steps, {options.size_px} px, seeds {options.seeds}\n",
            "| change | layers, over untrained | best layer | all layers, over the defaults |\n|---|---|---|---|",
        ]
        print("\n".join(lines[-2:]), flush=True)
        results = everything[name] = {}
        home = out / f"{name}_{options.steps}_{options.size_px}"
        for change in dict.fromkeys([UNCHANGED, *options.changes]):
            config = changed(CHANGES[change], options.steps, options.size_px)
            place = home / "".join(c if c.isalnum() else "_" for c in change)
            results[change] = [one_run(videos, config, seed, place) for seed in options.seeds]
            lines.append(line(change, results[change], results[UNCHANGED]))
            print(lines[-1], flush=True)
    (out / "study.md").write_text("\n".join(lines) + "\n")
    (out / "study.json").write_text(json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
