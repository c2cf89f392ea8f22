"""The grids through which the layers' losses see their maps."""

from __future__ import annotations

import dataclasses

import pytest
from helpers.small_nets import CONFIG, small_learners

from seqff.config import ObjectiveConfig


@pytest.mark.parametrize(("sides", "expected"), [((2,), [2, 2, 2]), ((4, 2), [4, 2, 2]), ((4, 3, 2, 1), [4, 3, 2])])
def test_the_last_side_is_for_all_layers_above(sides: tuple[int, ...], expected: list[int]) -> None:
    """A net with fewer layers than sides uses the first ones."""
    config = dataclasses.replace(CONFIG, objective=dataclasses.replace(CONFIG.objective, grid=sides))
    assert [learner.head.grid for learner in small_learners(config)] == expected


@pytest.mark.parametrize("sides", [(), (2, 0)])
def test_what_is_no_grid_is_an_error(sides: tuple[int, ...]) -> None:
    """The error states the value and what is allowed."""
    config = dataclasses.replace(CONFIG, objective=ObjectiveConfig(grid=sides))
    with pytest.raises(ValueError, match=r"objective.grid = .*give sides of at least 1"):
        small_learners(config)
