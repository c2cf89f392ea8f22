"""Prefetching in another thread: in order, bounded, and without leaking threads."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from seqff.features.decoding import Prefetched


def test_items_come_in_order_from_another_thread() -> None:
    """All of the generator runs in one other thread, its clean-up too."""
    threads = set()

    def work() -> Generator[int, None, None]:
        try:
            for number in range(50):
                threads.add(threading.get_ident())
                yield number
        finally:
            threads.add(threading.get_ident())

    with Prefetched(work(), most=3) as items:
        assert list(items) == list(range(50))
        assert list(items) == []
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_no_more_than_so_many_ahead() -> None:
    """Of 1000 items no more than `most` are made before one is taken; closing ends the thread in the middle."""
    made: list[int] = []
    full, cleaned = threading.Event(), threading.Event()

    def work() -> Generator[int, None, None]:
        try:
            for number in range(1000):
                made.append(number)
                if number % 4 == 3:
                    full.set()
                yield number
        finally:
            cleaned.set()

    with Prefetched(work(), most=4) as items:
        assert full.wait(60)
        for taken in range(1, 20):
            next(items)
            assert len(made) <= taken + 4
    assert cleaned.is_set()
    assert len(made) <= 24


def test_errors_arrive_where_items_are_taken() -> None:
    """What the generator raises is raised after the items before it, and again if asked again."""

    def work() -> Generator[int, None, None]:
        yield 1
        raise OSError("disk on fire")

    with Prefetched(work(), most=4) as items:
        assert next(items) == 1
        for _ in range(2):
            with pytest.raises(OSError, match="disk on fire"):
                next(items)
