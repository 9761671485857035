"""Texts as a list, or as UTF-8 in one piece with offsets; each turned into the other when asked for."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.columnar import Strings


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts in the form they came in."""

    form: Strings | list[str]

    def __len__(self) -> int:
        if isinstance(self.form, list):
            return len(self.form)
        return len(self.form.offsets) - 1 if self.form.codes is None else len(self.form.codes)

    def listed(self) -> list[str]:
        """As a list. ValueError if the bytes are not UTF-8, each text by itself."""
        if isinstance(self.form, list):
            return self.form
        distinct = _listed(self.form.offsets, self.form.data)
        codes = self.form.codes
        return distinct if codes is None else [distinct[code] for code in codes.tolist()]

    def strings(self) -> Strings:
        """In one piece."""
        return strings_of(self.form) if isinstance(self.form, list) else self.form


def strings_of(texts: list[str]) -> Strings:
    """Texts in one piece."""
    joined = "".join(texts)
    data = joined.encode()
    lengths = list(map(len, texts)) if len(data) == len(joined) else [len(text.encode()) for text in texts]
    return Strings(offsets_of(np.array(lengths, np.int64)), data)


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets [n + 1] of pieces that lie one after another."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _listed(offsets: NDArray[np.int64], data: bytes) -> list[str]:
    if data.isascii():
        text = data.decode("ascii")
        return [text[start:end] for start, end in pairwise(offsets.tolist())]
    return [data[start:end].decode() for start, end in pairwise(offsets.tolist())]
