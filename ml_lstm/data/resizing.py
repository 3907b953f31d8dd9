"""Images brought to the size that they are trained on."""

import functools

import numpy as np


def area_resize(images: np.ndarray, size: int) -> np.ndarray:
    """Averages uint8 [N, H, W, C] over the area of each new pixel: uint8 [N, size, size, C].

    Proportions are not kept. The weights are whole numbers, the overlap of an old and a new pixel, so the sums are too:
    at most 255 * H along the first axis, which float32 holds, and 255 * H * W along both, which float64 holds. So the
    result is the same on every machine.
    """
    _, height, width, _ = images.shape
    if height == width == size:
        return images
    rows, columns = _overlaps(height, size), _overlaps(width, size)
    sums = np.einsum("hH,nHWc->nhWc", rows, images.astype(np.float32), optimize=True)
    sums = np.einsum("wW,nhWc->nhwc", columns, sums.astype(np.float64), optimize=True)
    return np.rint(sums / (height * width)).astype(np.uint8)


@functools.lru_cache
def _overlaps(old_size, new_size):
    """By how much new and old pixels overlap along an axis of old_size * new_size steps: [new_size, old_size]."""
    new, old = np.arange(new_size)[:, np.newaxis] * old_size, np.arange(old_size) * new_size
    overlap = np.minimum(new + old_size, old + new_size) - np.maximum(new, old)
    return np.maximum(overlap, 0).astype(np.float32)
