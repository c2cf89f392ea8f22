"""Forward-Forward on images: a fully connected net, with every layer trained on its own goodness."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from seqff.config import GoodnessConfig, OptimConfig
from seqff.devices import choose_device, choose_precision
from seqff.forward_forward.dense_net import DenseNet, Readout
from seqff.forward_forward.pictures import (
    as_labels,
    as_pictures,
    deal,
    deal_rates,
    label_in_input,
    scale,
    shift,
    wrong_labels,
)
from seqff.pairs.mixtures import hybrid_masks, hybrids

_FIT, _SOFTMAX = range(2)  # purposes of random streams
ROWS = 1000  # images per batch when nothing is learned


class ForwardForward:
    """A fully connected Forward-Forward net.

    Every layer normalizes its input to mean square 1, so that it cannot read the goodness of the layer below, and is
        trained locally at every step: goodness high for real rows, low for synthetic ones. No gradient passes between
        layers.

    - mode="supervised" (section 3.3 of the paper): the first K pixels contain the label, and in synthetic rows a wrong
      one. The predicted class is the label with the highest goodness, summed over the layers.
    - mode="unsupervised" (section 3.2): synthetic rows are mixtures of two images by a smooth mask. `fit_softmax` then
      predicts classes from the activities.

    Args:
        widths: units of every layer.
        mode: source of synthetic rows.
        goodness: goodness and loss of the layers, None for the defaults; the paper's own loss is
            GoodnessConfig(loss="threshold", alpha=1.0).
        negatives: supervised: wrong labels are drawn uniformly ("random"), or in proportion to the predictions of a
            softmax on the net's own activities for the neutral label, which is trained alongside ("predicted").
        lr: peak learning rate of AdamW; it rises over the first 5 % of the steps and decays as a cosine.
        weight_decay: decoupled weight decay.
        batch: images per step; each has one synthetic row.
        jitter: largest shift of training images, px; needs images (N, H, W).
        skip_first: leave the first layer out of the goodness summed over layers and of the softmax, as in the paper
            (a net of one layer keeps it).
        precision: precision of the layers' matrix products: "auto" selects bf16 where the hardware supports it.
        device: "auto", "cpu" or "cuda".
        seed: seed of weights, order, shifts and synthetic rows.

    Attributes:
        net: the layers, after `fit` (`net.learners[0].layer` is the first).
        readout: the softmax on the activities, if fitted.
        history: one entry per epoch: `epoch`, `seconds`, means of the layers' metrics as `layer/name`,
            `validation_error`.

    Raises:
        ValueError: a setting out of range.

    Reference: Hinton 2022, arXiv:2212.13345; Lee and Song 2023, arXiv:2303.08418 (SymBa).
    """

    def __init__(
        self,
        widths: Sequence[int] = (1000, 1000, 1000),
        *,
        mode: Literal["supervised", "unsupervised"] = "supervised",
        goodness: GoodnessConfig | None = None,
        negatives: Literal["random", "predicted"] = "predicted",
        lr: float = 5e-3,
        weight_decay: float = 1e-4,
        batch: int = 200,
        jitter: int = 0,
        skip_first: bool = True,
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        if not widths or min(widths) < 1 or batch < 1 or jitter < 0 or lr <= 0:
            raise ValueError(
                "widths must name at least one layer of at least one unit, batch be at least 1, jitter at least 0 and "
                f"lr above 0, got widths={tuple(widths)}, batch={batch}, jitter={jitter}, lr={lr}"
            )
        if mode not in ("supervised", "unsupervised") or negatives not in ("random", "predicted"):
            given = f"mode={mode!r}, negatives={negatives!r}"
            raise ValueError(f"mode is supervised or unsupervised, and negatives are random or predicted, got {given}")
        self.widths, self.mode, self.negatives = tuple(widths), mode, negatives
        self.config = goodness or GoodnessConfig()
        self.optim = OptimConfig(name="adamw", lr=lr, weight_decay=weight_decay)
        self.batch, self.jitter, self.seed = batch, jitter, seed
        self.first = 1 if skip_first and len(self.widths) > 1 else 0
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.net: DenseNet | None = None
        self.classes, self.history = 0, list[dict[str, float]]()
        self.readout: Readout | None = None

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 30,
        validation: tuple[Any, Any] | None = None,
        progress: bool = True,
    ) -> ForwardForward:
        """Train all layers from scratch.

        Args:
            x: (N, H, W) or (N, D), uint8 (scaled to 0..1) or float; unsupervised and jitter need (N, H, W).
            y: (N,) integers from 0, the classes; only used with mode="supervised".
            epochs: passes over the images; 0 leaves the layers untrained.
            validation: supervised: images and labels whose error is added to `history` for every epoch.
            progress: show a progress bar (on a terminal).

        Raises:
            ValueError: images or labels of the wrong shape or type.
        """
        if epochs < 0:
            raise ValueError(f"epochs must be at least 0, got {epochs}")
        pictures = as_pictures(x, least=2, plane=self.jitter > 0 or self.mode == "unsupervised")
        labels = self._labels(y, pictures, validation)
        size = pictures[0].numel()
        self.history, self.readout = [], None
        self.net = net = DenseNet(
            size, self.widths, self.config, self.optim, precision=self.precision, device=self.device, seed=self.seed
        )
        if labels is not None and self.negatives == "predicted":
            self.readout = self._reader(self.classes, 1e-3)
        rates, began = deal_rates(len(pictures), self.batch, epochs, self.optim), time.monotonic()
        with tqdm(total=rates.size, unit="step", desc="fit", disable=None if progress else True) as bar:
            for epoch in range(epochs):
                metrics = self._epoch(net, pictures, labels, epoch, rates[epoch], bar)
                line: dict[str, float] = {"epoch": epoch + 1, "seconds": time.monotonic() - began, **metrics}
                if validation is not None:
                    line["validation_error"] = float((self.predict(validation[0]) != np.asarray(validation[1])).mean())
                    bar.set_postfix_str(f"validation error {line['validation_error']:.2%}")
                self.history.append(line)
        return self

    def fit_softmax(
        self, x: Any, y: Any, *, epochs: int = 10, lr: float = 3e-3, progress: bool = True
    ) -> ForwardForward:
        """Train a linear softmax on the normalized activities of the layers, which are not changed.

        Args:
            x: images as in `fit`; also shifted.
            y: (N,) integers from 0.
            epochs: passes over the images.
            lr: peak learning rate.
            progress: show a progress bar (on a terminal).

        Raises:
            ValueError: images or labels of the wrong shape or type, or the net has not been fitted.
        """
        net, pictures = self._known(x, plane=self.jitter > 0)
        labels = as_labels(y, len(pictures))
        reader = self._reader(int(labels.max()) + 1, lr)
        rates = deal_rates(len(pictures), self.batch, epochs, OptimConfig(lr=lr))
        with tqdm(total=rates.size, unit="step", desc="softmax", disable=None if progress else True) as bar:
            for epoch in range(epochs):
                random = np.random.default_rng([self.seed, _SOFTMAX, epoch])
                for rate, (rows, _) in zip(rates[epoch], deal(len(pictures), self.batch, random), strict=True):
                    features = net.features(self._unlabelled(self._input(pictures[rows], random)), first=self.first)
                    reader.update(features, labels[rows].to(self.device), lr=rate)
                    bar.update()
        self.readout = reader
        return self

    def goodness(self, x: Any) -> NDArray[np.float32]:
        """Return the goodness of every image under every label.

        Args:
            x: images as in `fit`.

        Returns:
            (N, L, K) float32 for L layers and K classes.

        Raises:
            ValueError: the net was not trained with labels, or not at all.
        """
        if self.mode != "supervised":
            raise ValueError("goodness tells classes apart only in a net trained with labels: mode='supervised'")
        net, pictures = self._known(x)
        found = []
        for part in torch.split(pictures, ROWS):
            flat = self._input(part).flatten(1)
            labels = torch.arange(self.classes, device=self.device)[:, None].expand(-1, len(flat))
            of_label = [net.goodness(label_in_input(flat, label, self.classes)) for label in labels]
            found.append(torch.stack(of_label, dim=2).cpu())
        return torch.cat(found).numpy()

    def predict(self, x: Any, *, by: Literal["goodness", "softmax"] | None = None) -> NDArray[np.int64]:
        """Return the class of every image.

        Args:
            x: images as in `fit`.
            by: "goodness", summed over layers, one pass per class, the default after `fit` with labels; or "softmax", a
                single pass: the result of `fit_softmax`, or before that the softmax of negatives="predicted".

        Returns:
            (N,) int64.

        Raises:
            ValueError: the net has not been fitted for that.
        """
        if by == "goodness" or (by is None and self.mode == "supervised"):
            return np.asarray(self.goodness(x)[:, self.first :].sum(axis=1).argmax(axis=1))
        net, pictures = self._known(x)
        if self.readout is None:
            raise ValueError("there is no softmax yet: call fit_softmax(x, y) first")
        found = []
        for part in torch.split(pictures, ROWS):
            features = net.features(self._unlabelled(self._input(part)), first=self.first)
            found.append(self.readout.probabilities(features).argmax(dim=1).cpu())
        return np.asarray(torch.cat(found))

    def features(self, x: Any) -> NDArray[np.float32]:
        """Return the concatenated activities of all layers, each normalized to mean square 1.

        Args:
            x: images as in `fit`; a net trained with labels gets the neutral label.

        Returns:
            (N, sum of widths) float32.

        Raises:
            ValueError: the net has not been fitted, or was fitted on images of another size.
        """
        net, pictures = self._known(x)
        found = [net.features(self._unlabelled(self._input(part))).cpu() for part in torch.split(pictures, ROWS)]
        return torch.cat(found).numpy()

    def _epoch(
        self, net: DenseNet, pictures: Tensor, labels: Tensor | None, epoch: int, rates: NDArray[np.float64], bar: Any
    ) -> dict[str, float]:
        """Train one epoch, with one learning rate per step; return the means of the layers' metrics."""
        random = np.random.default_rng([self.seed, _FIT, epoch])
        sums: dict[str, Tensor] = {}
        for rate, (rows, others) in zip(rates, deal(len(pictures), self.batch, random), strict=True):
            real = self._input(pictures[rows], random)
            if labels is None:
                other = self._input(pictures[others], random)
                masks = hybrid_masks(len(rows), real.shape[1], real.shape[2], random).to(self.device)
                real, synthetic = real.flatten(1), hybrids(real, other, masks).flatten(1)
            else:
                y, weights = labels[rows].to(self.device), torch.ones(1, self.classes, device=self.device)
                if self.readout is not None:
                    weights = self.readout.update(net.features(self._unlabelled(real), first=self.first), y, lr=rate)
                wrong = wrong_labels(y, torch.from_numpy(random.random(len(y))).to(self.device), weights)
                real, synthetic = (label_in_input(real.flatten(1), label, self.classes) for label in (y, wrong))
            for name, value in net.update(real, synthetic, lr=rate).items():
                sums[name] = sums[name] + value if name in sums else value
            bar.update()
        return {name: float(value) / len(rates) for name, value in sums.items()}

    def _labels(self, y: Any, pictures: Tensor, validation: Any) -> Tensor | None:
        """Check the labels and count the classes; None if labels are not used."""
        if self.mode == "unsupervised":
            if validation is not None:
                raise ValueError("without labels there is no validation error: use fit_softmax and predict")
            return None
        if y is None:
            raise ValueError("mode='supervised' needs labels y; without labels use mode='unsupervised'")
        labels = as_labels(y, len(pictures), most=pictures[0].numel())
        self.classes = int(labels.max()) + 1
        return labels

    def _known(self, x: Any, *, plane: bool = False) -> tuple[DenseNet, Tensor]:
        """Return the net and checked images of its size."""
        if self.net is None:
            raise ValueError("the net has not been fitted: call fit(x, y) first")
        pictures = as_pictures(x, plane=plane)
        if pictures[0].numel() != self.net.inputs:
            raise ValueError(f"the net was fitted on {self.net.inputs} pixels a picture, got {tuple(pictures.shape)}")
        return self.net, pictures

    def _reader(self, classes: int, lr: float) -> Readout:
        return Readout(sum(self.widths[self.first :]), classes, lr=lr, device=self.device)

    def _input(self, pictures: Tensor, random: np.random.Generator | None = None) -> Tensor:
        """Move images to the device as float32, shifted if a generator is given."""
        pictures = pictures.to(self.device)
        if random is not None and self.jitter:
            pictures = shift(pictures, self.jitter, random)
        return scale(pictures)

    def _unlabelled(self, x: Tensor) -> Tensor:
        """Flatten images, with the neutral label if the net was trained with labels: (N, D)."""
        return label_in_input(x.flatten(1), None, self.classes) if self.mode == "supervised" else x.flatten(1)
