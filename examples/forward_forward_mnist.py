"""Forward-Forward on images of digits, with and without labels.

Run it as is (1 797 small digits from scikit-learn, less than a minute), or on MNIST:
    python examples/forward_forward_mnist.py mnist.npz     # with x_train, y_train, x_test, y_test
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.datasets import load_digits

import seqff


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images of 8 x 8 px in a border of 2 px, which makes room for the label in the first row."""
    x, y = load_digits(return_X_y=True)
    x = np.pad((x.reshape(-1, 8, 8) * 15).astype(np.uint8), ((0, 0), (2, 2), (2, 2)))
    return x[:1400], y[:1400], x[1400:], y[1400:]


def mnist(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images of 28 x 28 px."""
    data = np.load(path)
    return data["x_train"], data["y_train"], data["x_test"], data["y_test"]


def main() -> None:
    """Train with labels, then without."""
    x, y, x_test, y_test = mnist(sys.argv[1]) if len(sys.argv) > 1 else digits()
    epochs = 10 if len(x) > 10_000 else 20

    # With labels. The first K pixels contain the label; negatives are images with a wrong one. Each layer raises its
    # goodness, the sum of its squared activities, on positives and lowers it on negatives. No gradient passes down.
    net = seqff.ForwardForward((500, 500), batch=100).fit(x, y, epochs=epochs)
    for layer in ("layer1", "layer2"):
        print(f"{layer}: tells {net.history[-1][f'{layer}/told_apart']:.1%} of the pairs apart")

    # The predicted class is the label with the highest goodness.
    goodness = net.goodness(x_test[:1])
    print("goodness of the first test image under each label, layer2:", goodness[0, 1].round())
    print(f"with labels, by goodness: {(net.predict(x_test) != y_test).mean():.2%} test error")

    # Without labels. Negatives are mixtures of two images by a smooth mask: right locally, wrong globally.
    blind = seqff.ForwardForward((500, 500), mode="unsupervised", skip_first=False, lr=1e-3, batch=100)
    blind.fit(x, epochs=epochs)

    # Labels are used only now, for a linear softmax on the normalized activities; the layers do not change.
    blind.fit_softmax(x, y, epochs=10)
    print(f"without labels, softmax on the layers: {(blind.predict(x_test) != y_test).mean():.2%} test error")
    print("features:", blind.features(x_test).shape)


if __name__ == "__main__":
    main()
