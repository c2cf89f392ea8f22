"""The linear probe's path of 13 penalties compared with 13 warm-started fits of scikit-learn's LogisticRegression.

    OMP_NUM_THREADS=1 python -m benchmarks.probes            # half an hour
    OMP_NUM_THREADS=1 python -m benchmarks.probes --small    # a minute

Both get the same standardized float32 rows and penalties, and must come within 1e-4 of the smallest loss at each:
    scikit-learn gets the loosest tolerance that achieves it, and float64 rows if none does in float32 (its default
    stops far too early at weak penalties; its time and gap are shown, too). Values are median CPU seconds of the whole
    process, including the rotation to principal axes; the two alternate within one run.

"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.measuring import arguments, take_turns, write
from seqff.probes.preprocessing import principal_axes, standardize
from seqff.probes.softmax import lambda_path, softmax_path

PROBLEMS = ((50_000, 512, 10), (10_000, 1024, 100))
SMALL = ((4_000, 128, 10), (2_000, 256, 40))
TEST_ROWS = 2000
CLOSE = 1e-4
DEFAULT = 1e-4
TOLERANCES = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
Weights = list[NDArray[np.float64]]


def features(rows: int, width: int, classes: int, *, decay: float, seed: int) -> tuple[Any, Any, Any]:
    """Return standardized rectified features of overlapping classes: (n, D) float32, class numbers, and test rows.

    Args:
        rows: n.
        width: D.
        classes: K.
        decay: decay of the variances along the principal axes before rectification, j ** -decay; 0 is white.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    y = np.arange(rows + TEST_ROWS) % classes
    spread = np.arange(1, width + 1) ** (-decay / 2)
    turn = np.linalg.qr(rng.normal(size=(width, width)))[0]
    x = (0.35 * rng.normal(size=(classes, width))[y] + rng.normal(size=(len(y), width))) * spread @ turn
    x = np.maximum(x + 0.2 * x.std(), 0)
    train, test, _ = standardize(x[:rows], x[rows:])
    return train.astype(np.float32), y[:rows], test.astype(np.float32)


def ours(x: Any, y: Any, lambdas: Sequence[float], tolerance: float | None = None) -> Weights:
    """Return the probe's path; the weights of every lambda in the coordinates of x."""
    axes = principal_axes(x)
    options = {} if tolerance is None else {"tolerance": tolerance}
    path = softmax_path(x @ axes, y, int(y.max()) + 1, lambdas, **options)
    return [np.vstack([axes @ weights[:-1], weights[-1:]]).astype(np.float64) for weights, _ in path]


def theirs(x: Any, y: Any, lambdas: Sequence[float], tolerance: float) -> Weights:
    """Return thirteen fits, each started from the previous one."""
    model = LogisticRegression(warm_start=True, max_iter=100_000, tol=tolerance)
    found = []
    for value in lambdas:
        model.C = 1 / (value * len(y))
        found.append(np.vstack([model.fit(x, y).coef_.T, model.intercept_]).astype(np.float64))
    return found


def loss_of(weights: Any, x: Any, y: Any, lambda_: float) -> float:
    """Return the objective of both, in float64."""
    logits = x @ weights[:-1] + weights[-1]
    loss = (logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]).mean()
    return float(loss + lambda_ / 2 * np.square(weights[:-1]).sum())


def answers(x: Any, weights: Any) -> Any:
    """Return predicted class numbers, (m,)."""
    return (x @ weights[:-1] + weights[-1]).argmax(axis=1)


def timed(call: Callable[..., Weights], *given: Any) -> tuple[float, Weights]:
    """Return the CPU seconds of a call, and its result."""
    began = time.process_time()
    found = call(*given)
    return time.process_time() - began, found


def measure(rows: int, width: int, classes: int, *, decay: float, repeats: int) -> dict[str, Any]:
    """Run one problem on both, alternating."""
    x, y, test = features(rows, width, classes, decay=decay, seed=0)
    lambdas, exact = lambda_path(rows), x.astype(np.float64)
    best = ours(exact, y, lambdas, 1e-10)
    optimum = [loss_of(weights, exact, y, value) for weights, value in zip(best, lambdas, strict=True)]

    def gap(found: Weights) -> float:
        pairs = zip(found, lambdas, optimum, strict=True)
        return max(loss_of(weights, exact, y, value) / least - 1 for weights, value, least in pairs)

    def same(found: Weights) -> float:
        return min(
            float((answers(test, one) == answers(test, two)).mean()) for one, two in zip(found, best, strict=True)
        )

    default_seconds, default = timed(theirs, x, y, lambdas, DEFAULT)
    tries = [(part, tolerance) for part in (x, exact) for tolerance in TOLERANCES]
    enough = (each for each in tries if gap(theirs(each[0], y, lambdas, each[1])) <= CLOSE)
    given, tolerance = next(enough, tries[-1])
    ways = {
        "ours": lambda _: timed(ours, x, y, lambdas),
        "theirs": lambda _: timed(theirs, given, y, lambdas, tolerance),
    }
    turns = take_turns(ways, repeats)
    seconds = {name: np.array([spent for spent, _ in found]) for name, found in turns.items()}
    mine, other = (turns[name][-1][1] for name in ("ours", "theirs"))
    return {
        "rows": rows,
        "width": width,
        "classes": classes,
        "decay": decay,
        "ours_cpu_seconds": float(np.median(seconds["ours"])),
        "scikit_learn_cpu_seconds": float(np.median(seconds["theirs"])),
        "times_faster": float(np.median(seconds["theirs"] / seconds["ours"])),
        "ours_gap": gap(mine),
        "scikit_learn_gap": gap(other),
        "scikit_learn_tolerance": tolerance,
        "scikit_learn_rows": str(given.dtype),
        "ours_same_answers": same(mine),
        "scikit_learn_same_answers": same(other),
        "default_tolerance_cpu_seconds": default_seconds,
        "default_tolerance_gap": gap(default),
    }


COLUMNS = (
    *("rows x features x classes", "decay", "ours, s", "gap", "scikit-learn, s", "gap", "its tol, rows"),
    *("times faster", "answers as at the optimum", "its default tol, s", "gap"),
)
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def row(one: dict[str, Any]) -> str:
    """Return a problem as a Markdown row; a gap is the relative excess over the smallest loss."""
    cells = (
        f"{one['rows']} x {one['width']} x {one['classes']}",
        f"{one['decay']:g}",
        *(f"{one['ours_cpu_seconds']:.2f}", f"{one['ours_gap']:.0e}"),
        *(f"{one['scikit_learn_cpu_seconds']:.2f}", f"{one['scikit_learn_gap']:.0e}"),
        f"{one['scikit_learn_tolerance']:.0e}, {one['scikit_learn_rows']}",
        f"{one['times_faster']:.1f}",
        f"{one['ours_same_answers']:.4f} and {one['scikit_learn_same_answers']:.4f}",
        *(f"{one['default_tolerance_cpu_seconds']:.2f}", f"{one['default_tolerance_gap']:.0e}"),
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("--small", action="store_true", help="small problems: a minute instead of many")
    parser.add_argument("--repeats", type=int, default=3, help="turns; the median counts")
    parser.add_argument("--decay", type=float, nargs="+", default=[0.0, 1.0], help="of the features' variances")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    found = []
    print(HEADER)
    for rows, width, classes in SMALL if options.small else PROBLEMS:
        for decay in options.decay:
            found.append(measure(rows, width, classes, decay=decay, repeats=options.repeats))
            print(row(found[-1]), flush=True)
    write(options.json, {"problems": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
