"""The plot of docs/results.md: accuracy over training time for sizes of net, frames and training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def size_curve(points: Sequence[tuple[str, float, float, bool]]) -> str:
    """Draw an SVG.

    Args:
        points: for each training its title, CPU minutes, accuracy of the best layer, and whether it is local.
    """
    minutes = [np.log10(cost) for _, cost, _, _ in points]
    values = [accuracy for _, _, accuracy, _ in points]
    low, high = min(minutes) - 0.1, max(minutes) + 0.35
    bottom, top = np.floor(20 * min(values)) / 20, np.ceil(20 * max(values)) / 20

    def across(cost: float) -> str:
        return f"{60 + 560 * (np.log10(cost) - low) / (high - low):.0f}"

    def down(accuracy: float) -> float:
        return 300 - 260 * (accuracy - bottom) / (top - bottom)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360" font-family="sans-serif" font-size="13">',
        '<rect width="640" height="360" fill="#fff"/>',
        '<path d="M60 40V300H620" fill="none" stroke="#555"/>',
        '<text x="60" y="24">Accuracy of the best layer, film clips by source</text>',
        '<text x="620" y="345" text-anchor="end">CPU minutes of training (logarithmic)</text>',
    ]
    for value in np.arange(bottom, top + 1e-9, 0.05):
        parts.append(f'<text x="52" y="{down(value) + 4:.0f}" text-anchor="end">{value:.2f}</text>')
    for tick in TICKS:
        if low <= np.log10(tick) <= high:
            parts.append(f'<text x="{across(tick)}" y="318" text-anchor="middle">{tick}</text>')
    for title, cost, accuracy, local in points:
        x, y = float(across(cost)), down(accuracy)
        style = 'fill="#00796b"' if local else 'fill="none" stroke="#c62828" stroke-width="2"'
        color = "" if local else ' fill="#c62828"'
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="5" {style}/>')
        parts.append(f'<text x="{x + 9:.0f}" y="{y + 4:.0f}"{color}>{title}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
