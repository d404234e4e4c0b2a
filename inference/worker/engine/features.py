"""Image features kept by content, so that a second question does not run the tower again."""

from collections import OrderedDict
from threading import Lock

import torch


class FeatureCache:
    """Least recently used first out, bounded by bytes; safe to ask from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._lock = Lock()
        self.nbytes = 0

    def __contains__(self, digest: str) -> bool:
        with self._lock:
            return digest in self._kept

    def get(self, digest: str) -> torch.Tensor | None:
        """Return the features [image_tokens, hidden] of an image, if they are kept."""
        with self._lock:
            features = self._kept.get(digest)
            if features is not None:
                self._kept.move_to_end(digest)
            return features

    def put(self, digest: str, features: torch.Tensor) -> None:
        """Keep features, dropping older ones beyond the bound."""
        with self._lock:
            if digest in self._kept or features.nbytes > self._max_bytes:
                return
            self._kept[digest] = features
            self.nbytes += features.nbytes
            while self.nbytes > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self.nbytes -= dropped.nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self.nbytes = 0
