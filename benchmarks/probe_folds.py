"""The linear probe on rows of frames, fold by fold: CPU seconds, memory, and distance from scikit-learn's optimum.

    python -m benchmarks.probe_folds                                    # 100 000 x 512 x 20 classes, 5 folds
    python -m benchmarks.probe_folds --rows 3280 --width 1024 --classes 10 --folds 10
    git worktree add ../before COMMIT
    python -m benchmarks.probe_folds --beside ../before --json FILE     # both in turns, fold by fold

A fold is `LinearProbe.fit` and `predict`: the penalty chosen from 13 on held-out videos, then the final fit. Each runs
in a separate process on one thread. Rows are rectified features of videos of 40 frames; classes overlap. The gap is the
relative excess of the objective at the chosen penalty over that of scikit-learn's LogisticRegression (tol 1e-6) on the
same scaled rows: below 0 the probe is closer to the optimum. It is measured on the first `--gaps` folds, because
scikit-learn's fit takes about as long as a fold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
FRAMES = 40


def one_fold(rows: int, width: int, classes: int, folds: int, fold: int, *, gap: bool) -> dict[str, Any]:
    """Probe one fold of synthetic rows, with the checkout that Python finds first."""
    import resource

    import numpy as np
    from scipy.special import logsumexp
    from sklearn.linear_model import LogisticRegression

    from seqff.probes import LinearProbe

    rng = np.random.default_rng(0)
    videos = rows // FRAMES
    video = np.arange(rows) * videos // rows
    y = (np.arange(videos) % classes)[video]
    turn = np.linalg.qr(rng.normal(size=(width, width)))[0].astype(np.float32)
    x = 0.15 * rng.normal(size=(classes, width)).astype(np.float32)[y]
    x += 0.7 * rng.normal(size=(videos, width)).astype(np.float32)[video]
    x += 0.7 * rng.standard_normal((rows, width), dtype=np.float32)
    x = (x * np.arange(1, width + 1, dtype=np.float32) ** -0.5) @ turn
    x = np.maximum(x + 0.2 * x.std(), 0)
    tested = (rng.permutation(videos) % folds == fold)[video]
    train, labels, groups, test = x[~tested], y[~tested], video[~tested], x[tested]
    began = time.process_time()
    probe = LinearProbe(random_state=np.random.default_rng(fold)).fit(train, labels, groups)
    answers = probe.predict(test)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    found = {
        "cpu_seconds": seconds,
        "peak_mb": peak,
        "rows_mb": x.nbytes / 1e6,
        "accuracy": float((answers == y[tested]).mean()),
        "lambda": probe.lambda_,
    }
    if gap:
        scaled = probe.scaling_(train)

        def objective(weights: Any) -> float:
            loss = 0.0
            for start in range(0, len(scaled), 10_000):
                part = slice(start, start + 10_000)
                logits = scaled[part].astype(np.float64) @ weights[:-1] + weights[-1]
                loss += float((logsumexp(logits, axis=1) - logits[np.arange(len(logits)), labels[part]]).sum())
            return loss / len(scaled) + probe.lambda_ / 2 * float(np.square(weights[:-1]).sum())

        began = time.process_time()
        other = LogisticRegression(C=1 / (probe.lambda_ * len(scaled)), tol=1e-6, max_iter=10_000).fit(scaled, labels)
        theirs = np.vstack([other.coef_.T, other.intercept_]).astype(np.float64)
        found["scikit_learn_one_fit_cpu_seconds"] = time.process_time() - began
        found["gap"] = objective(probe.weights_.astype(np.float64)) / objective(theirs) - 1
    return found


def main() -> int:
    """Run the benchmark."""
    from benchmarks.measuring import ONE_THREAD, arguments, take_turns, write

    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of all folds")
    parser.add_argument("--width", type=int, default=512, help="features")
    parser.add_argument("--classes", type=int, default=20, help="classes")
    parser.add_argument("--folds", type=int, default=5, help="folds")
    parser.add_argument("--first", type=int, default=None, metavar="N", help="only the first N folds")
    parser.add_argument("--gaps", type=int, default=1, help="folds whose gap is measured")
    parser.add_argument("--beside", type=Path, default=None, metavar="CHECKOUT", help="another checkout, alternating")
    options = parser.parse_args()
    checkouts = {"here": HERE.parents[1]} | ({} if options.beside is None else {"beside": options.beside.resolve()})

    def fold(checkout: Path, number: int) -> dict[str, Any]:
        shape = [options.rows, options.width, options.classes, options.folds, number, int(number < options.gaps)]
        words = [sys.executable, str(HERE), *map(str, shape)]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(checkout)}
        done = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        print(checkout, found, file=sys.stderr)
        return found

    ways = {name: lambda number, path=path: fold(path, number) for name, path in checkouts.items()}  # type: ignore[misc]
    turns = take_turns(ways, options.first or options.folds)
    shape = {name: getattr(options, name) for name in ("rows", "width", "classes", "folds")}
    totals = {name: sum(one["cpu_seconds"] for one in found) for name, found in turns.items()}
    for name, seconds in totals.items():
        print(f"{name}: {seconds:.1f} CPU seconds in {len(turns[name])} of {options.folds} folds")
    write(options.json, {"problem": shape, "cpu_seconds": totals, "folds": turns})
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 7 and all(word.isdecimal() for word in sys.argv[1:]):
        *shape, gap = map(int, sys.argv[1:])
        print(json.dumps(one_fold(*shape, gap=bool(gap))))  # type: ignore[arg-type]
    else:
        sys.exit(main())
