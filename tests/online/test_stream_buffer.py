"""Batches of a stream: the newest frames and a uniform sample of the past, with negatives that are truly distant."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers.painted import paint, read_numbers
from helpers.streams import SIZE, stream_config

from seqff.config import TrainConfig
from seqff.errors import SeqffError
from seqff.online.buffer import FrameClock, StreamBuffer
from seqff.pairs import FrameBatch, distances
from seqff.transform import FrameTransform

TRANSFORM = FrameTransform(*SIZE)


def true_numbers(batch: FrameBatch) -> np.ndarray:
    """The numbers that the frames of a batch carry, whatever its coordinates say."""
    grey = (batch.frames * TRANSFORM.std + TRANSFORM.mean) * 255
    return np.array(read_numbers(grey.permute(0, 2, 3, 1).round().clamp(0, 255).byte().numpy()))


def feed(config: TrainConfig, events: list[tuple[int, int, bool]], *, rate: float = 10.0) -> list[FrameBatch]:
    """Run frames (their number, known to be missing before, after a cut) through a buffer; return its batches."""
    stamps, buffer = FrameClock(0.0, config.pairs), StreamBuffer(TRANSFORM, config, seed=0)
    found, offset = [], 0.0
    for count, (number, skipped, cut) in enumerate(events):
        image = paint(number, SIZE)
        offset = number / rate if cut else offset  # a clock that begins anew
        if buffer.add(image, stamps.next(image, number / rate - offset, skipped=skipped, cut=cut)):
            found.append(buffer.batch(count))
            buffer.absorb()
    return found


def broken_stream(frames: int, *, seed: int = 0) -> list[tuple[int, int, bool]]:
    """Frames of which some are dropped (and counted), and connections that are lost for unknown times."""
    random, events, number = np.random.default_rng(seed), [], 0
    while len(events) < frames:
        skipped, cut = 0, random.random() < 0.01
        if cut:
            number += int(random.integers(0, 4))  # nobody knows
        elif random.random() < 0.05:
            skipped = int(random.integers(1, 30))
            number += skipped
        events.append((number, skipped, bool(cut)))
        number += 1
    return events


@pytest.mark.parametrize("unit", ["frames", "seconds"])
def test_no_negative_is_nearer_than_far_and_positives_are_a_gap_apart(unit: str) -> None:
    """With frames dropped and connections lost, negatives were truly `far` apart, and positives truly `gap`."""
    config = stream_config(far=12)
    gap, far = 1, 12
    if unit == "seconds":
        pairs = dataclasses.replace(config.pairs, gap="0.2s", far="1.2s", clip_frames=4)
        config, gap = dataclasses.replace(config, pairs=pairs), 2
    distance, least, kind = distances(config.pairs)
    positives = negatives = 0
    for batch in feed(config, broken_stream(1500)):
        relation = batch.relation(gap=distance, far=least, unit=kind)
        number = true_numbers(batch)
        apart = np.abs(number[:, None] - number[None])
        assert apart[relation.same_video.numpy()].min() >= far
        first, second = relation.positive.numpy().T
        assert set(number[second] - number[first]) == {gap}
        assert not relation.other_video.any()
        positives, negatives = positives + len(first), negatives + int(relation.same_video.sum())
    assert positives > 100
    assert negatives > 10_000


def test_the_past_is_drawn_evenly() -> None:
    """After 3000 frames a reservoir of 96 holds old frames as often as new ones, each batch the newest 8."""
    config = stream_config(live={"reservoir_frames": 600})
    batches = feed(config, [(number, 0, False) for number in range(3000)])
    last = np.concatenate([true_numbers(batch)[8:] for batch in batches[-40:]])
    quarters = np.histogram(last, bins=4, range=(0, 3000))[0] / len(last)
    assert np.all(np.abs(quarters - 0.25) < 0.07)
    newest = [true_numbers(batch)[:8] for batch in batches]
    assert all((np.diff(numbers) == 1).all() for numbers in newest)
    assert newest[-1][-1] >= 3000 - 8


def test_memory_is_taken_once() -> None:
    """The buffer has the size that the settings say from the start, and no frame adds to it."""
    config = stream_config(live={"reservoir_frames": 400})
    stamps, buffer = FrameClock(0.0, config.pairs), StreamBuffer(TRANSFORM, config, seed=0)
    before, frames = buffer.nbytes, 400 + 8 + 2
    images = frames * SIZE[0] * SIZE[1] * 3
    assert images <= before <= 1.1 * images
    for number in range(2000):
        image = paint(number % 1000, SIZE)
        if buffer.add(image, stamps.next(image, None)):
            buffer.absorb()
    assert buffer.nbytes == before
    assert buffer.reservoir.count == 200


def test_no_step_before_the_past_is_long_enough() -> None:
    """The first batch has distant negatives for every row, however long `far` is."""
    config = stream_config(far=500)
    first, *_ = feed(config, [(number, 0, False) for number in range(1200)])
    assert first.time.max() >= 1000
    assert bool(first.relation(gap=1, far=500).same_video.any())


def test_shot_cuts_part_pairs() -> None:
    """No positive spans a sudden change of the picture; the frames on either side stay negatives of distant ones."""
    config, random = stream_config(), np.random.default_rng(0)
    stamps, buffer = FrameClock(0.0, config.pairs), StreamBuffer(TRANSFORM, config, seed=0)
    for number in range(61):
        image = np.full((*SIZE, 3), 60 if number // 7 % 2 else 180, np.uint8)  # a cut every 7 frames
        image = image + random.integers(0, 3, image.shape, dtype=np.uint8)
        if buffer.add(image, stamps.next(image, None)):
            batch = buffer.batch(number)
            buffer.absorb()
            relation = batch.relation(gap=1, far=6)
            first, second = batch.time[relation.positive].T
            assert len(first)
            assert bool((first // 7 == second // 7).all())


def test_settings_that_cannot_make_a_batch() -> None:
    """Too many new frames, too small a reservoir, clips too short for a gap in seconds: named, with what helps."""
    for live, what in (
        ({"new_frames": 1}, r"live\.new_frames=1 are 0 clips"),
        ({"new_frames": 24}, r"live\.new_frames=24 are 12 clips"),
        ({"reservoir_frames": 10}, r"live\.reservoir_frames=10 are 5 clips"),
    ):
        with pytest.raises(ValueError, match=what):
            StreamBuffer(TRANSFORM, stream_config(live=live), seed=0)
    config = stream_config()
    pairs = dataclasses.replace(config.pairs, gap="0.5s", far="1s")
    config = dataclasses.replace(config, pairs=pairs)
    stamps, buffer = FrameClock(0.0, config.pairs), StreamBuffer(TRANSFORM, config, seed=0)
    for number in range(40):
        if buffer.add(paint(number, SIZE), stamps.next(paint(number, SIZE), number / 10)):
            buffer.absorb()
    with pytest.raises(SeqffError, match=r"pairs\.clip_frames must be at least 6"):
        buffer.check_pairs()


def test_missing_frames_show_in_the_times_where_the_rate_is_known() -> None:
    """With fps a hole in time is a hole in the numbers; a clock that jumps back is a cut."""
    stamps = FrameClock(10.0, stream_config().pairs)
    image = paint(0, SIZE)
    found = [stamps.next(image, seconds) for seconds in (5.0, 5.1, 5.22, 5.8, 0.0, 0.1)]
    assert [stamp.number for stamp in found] == [0, 1, 2, 8, 9, 10]
    assert [stamp.follows for stamp in found] == [False, True, True, False, False, True]
    assert [stamp.shot for stamp in found] == [0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose([stamp.seconds for stamp in found], [0, 0.1, 0.22, 0.8, 0.9, 1.0], atol=1e-9)


def test_clips_are_augmented_apart() -> None:
    """A picture that stands still comes alike in the frames of a clip, and otherwise in every other clip."""
    config = stream_config()
    pairs = dataclasses.replace(config.pairs, brightness=0.2, photometric="clip")
    config = dataclasses.replace(config, pairs=pairs)
    stamps, buffer, image = FrameClock(0.0, pairs), StreamBuffer(TRANSFORM, config, seed=0), paint(1, SIZE)
    stamp = (stamps.next(image, number / 10, skipped=0, cut=False) for number in range(100))
    assert any(buffer.add(image, now) for now in stamp)
    frames = buffer.batch(0).frames.unflatten(0, (-1, 2))
    assert torch.equal(frames[:, 0], frames[:, 1])
    assert len(frames[:, 0].flatten(1).unique(dim=0)) == len(frames) > 1
