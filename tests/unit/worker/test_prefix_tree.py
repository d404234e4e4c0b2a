"""The tree of kept positions."""

import numpy as np
import torch

from inference.worker.engine.prefix import Keys, PrefixTree, common

BYTES_A_POSITION = 2 * 2 * 1 * 3 * 4  # layers, keys and values, heads, size, float32


def _keys(*names: int) -> Keys:
    return np.array(names, dtype=np.int64)


def _kv(keys: Keys) -> torch.Tensor:
    """Values that tell which position they belong to: [2, 2, 1, n, 3]."""
    return torch.tensor(keys, dtype=torch.float32)[None, None, None, :, None].repeat(2, 2, 1, 1, 3)


def _insert(tree: PrefixTree, keys: Keys, adapter: str | None = None) -> list[tuple[int, int]]:
    asked = []

    def read(start: int, end: int) -> torch.Tensor:
        asked.append((start, end))
        return _kv(keys[start:end])

    tree.insert(adapter, keys, read)
    return asked


def _fetched(tree: PrefixTree, keys: Keys, adapter: str | None = None) -> list[float]:
    segments = tree.fetch(adapter, keys)
    return torch.cat(segments, dim=3)[0, 0, 0, :, 0].tolist() if segments else []


def test_what_was_kept_is_found_up_to_the_first_difference() -> None:
    tree = PrefixTree(10**6)
    _insert(tree, _keys(1, 2, 3, 4))
    assert tree.longest(None, _keys(1, 2, 9)) == 2
    assert _fetched(tree, _keys(1, 2, 9)) == [1, 2]
    assert tree.longest(None, _keys(9)) == 0
    assert tree.longest(None, _keys(1, 2, 3, 4, 5)) == 4


def test_common_beginnings_are_kept_once() -> None:
    tree = PrefixTree(10**6)
    assert _insert(tree, _keys(1, 2, 3, 4)) == [(0, 4)]
    assert _insert(tree, _keys(1, 2, 5, 6, 7)) == [(2, 5)]
    assert tree.nbytes == 7 * BYTES_A_POSITION
    assert _fetched(tree, _keys(1, 2, 3, 4)) == [1, 2, 3, 4]
    assert _fetched(tree, _keys(1, 2, 5, 6, 7, 8)) == [1, 2, 5, 6, 7]
    assert _insert(tree, _keys(1, 2, 5)) == []


def test_a_longer_prompt_adds_to_a_shorter_one() -> None:
    tree = PrefixTree(10**6)
    _insert(tree, _keys(1, 2))
    assert _insert(tree, _keys(1, 2, 3)) == [(2, 3)]
    assert _fetched(tree, _keys(1, 2, 3)) == [1, 2, 3]


def test_adapters_share_nothing() -> None:
    tree = PrefixTree(10**6)
    _insert(tree, _keys(1, 2), "one")
    assert tree.longest("two", _keys(1, 2)) == tree.longest(None, _keys(1, 2)) == 0
    assert _fetched(tree, _keys(1, 2), "one") == [1, 2]


def test_the_leaf_unused_for_longest_goes_first() -> None:
    tree = PrefixTree(6 * BYTES_A_POSITION)
    _insert(tree, _keys(1, 2, 3))
    _insert(tree, _keys(1, 4, 5))
    tree.fetch(None, _keys(1, 2, 3))
    _insert(tree, _keys(1, 6, 7))
    assert tree.longest(None, _keys(1, 4, 5)) == 1
    assert tree.longest(None, _keys(1, 2, 3)) == tree.longest(None, _keys(1, 6, 7)) == 3
    assert tree.nbytes == 5 * BYTES_A_POSITION


def test_what_can_never_fit_is_not_kept_and_evicts_only_strangers() -> None:
    tree = PrefixTree(4 * BYTES_A_POSITION)
    _insert(tree, _keys(1, 2))
    _insert(tree, _keys(1, 2, 3, 4, 5, 6))
    assert tree.longest(None, _keys(1, 2, 3, 4, 5, 6)) == 2
    assert tree.nbytes == 2 * BYTES_A_POSITION


def test_clearing_forgets_everything() -> None:
    tree = PrefixTree(10**6)
    _insert(tree, _keys(1, 2))
    tree.clear()
    assert tree.nbytes == tree.longest(None, _keys(1, 2)) == 0


def test_common_counts_leading_elements() -> None:
    assert common(_keys(1, 2, 3), _keys(1, 2, 4)) == 2
    assert common(_keys(1, 2), _keys(1, 2, 3)) == 2
    assert common(_keys(), _keys(1)) == 0
