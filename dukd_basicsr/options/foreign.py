"""Unknown keys: which of them are misspelt, and which are somebody else's, whose program reads them and ours does not.

Options files come from repositories that have grown out of BasicSR and read a few keys more, and stock BasicSR passes
over whatever it does not read. A file of theirs should train here with a warning; a slip of the pen should not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NOTES = ('x_', 'note', 'comment')
"""How keys begin that are somebody's notes and never a slip of the pen."""
_WORD = re.compile(r'[\w-]{1,50}')
_TOLD_APART = 2
"""Letters of the longest word that only tells things apart: the g of network_g, the kd of kd_opt."""
_LONG = 8
"""Letters from which on a name may differ in two places."""
_IN_TRAIN = re.compile(r'train\.\w+_opt')
_SHARPENED = 'RealESRGANModel alone reads it; here ground truth is sharpened for every loss where gt_usm is true'
_REASONS = {
    'use_shuffle': 'BasicSR does not read it: training images are always shuffled',
    'self_ensemble': 'BasicSR does not read it; for a table with it: basicsr benchmark --self_ensemble',
    'use_chop': 'BasicSR does not read it; large images in tiles: basicsr upscale --tile N',
    'tile': 'BasicSR does not read it; large images in tiles: basicsr upscale --tile N',
    'l1_gt_usm': _SHARPENED,
    'percep_gt_usm': _SHARPENED,
}


def find_misspelt(name: object, documented: Iterable[str]) -> str | None:
    """The documented key that an unknown one was meant to be; None where it is a key of its own.

    A slip of the pen leaves out, adds, exchanges or transposes one letter, two of them in a name of eight or more, or
    writes out a word that is abbreviated (`print_frequency`), or the reverse. Names that differ in a word of at most
    two letters alone are different things, not one misspelt: network_d is not network_g, nor sd_opt kd_opt.

    Args:
        name (object): A key that is not documented.
        documented (Iterable[str]): Those that are.
    """
    if not isinstance(name, str) or name.lower().startswith(NOTES):
        return None
    word = name.lower().replace('-', '_')
    ranked = ((_count_slips(word, each.lower()), each) for each in documented if _may_be(word, each.lower()))
    return min(ranked, default=(0, None))[1]


def is_word(name: object) -> bool:
    """Whether somebody may have called a key so: letters, digits, _ and -, at most 50."""
    return isinstance(name, str) and _WORD.fullmatch(name) is not None


def explain(path: str) -> str:
    """Say what becomes of a key that nothing reads.

    Args:
        path (str): Its dotted path.
    """
    known = _REASONS.get(path.rpartition('.')[2])
    if known:
        return f'{known}.'
    if _IN_TRAIN.fullmatch(path):
        return 'nothing reads this key: the run trains without it.'
    return 'nothing reads this key, and it changes nothing.'


def _may_be(word: str, documented: str) -> bool:
    words, others = word.split('_'), documented.split('_')
    if len(words) == len(others):
        pairs = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
        if pairs and all(max(map(len, pair)) <= _TOLD_APART for pair in pairs):
            return False
        if all(_abbreviates(*pair) for pair in pairs):
            return True
    return _count_slips(word, documented) <= (2 if min(len(word), len(documented)) >= _LONG else 1)


def _abbreviates(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) > _TOLD_APART and long.startswith(short) and long.isalpha()


def _count_slips(one: str, other: str) -> int:
    """Letters left out, added, exchanged or transposed between two words: the optimal string alignment distance."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, theirs in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != theirs))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], theirs):
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
