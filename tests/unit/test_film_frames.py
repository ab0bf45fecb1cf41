"""What a frame is, and how frames are read ahead."""

import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
import torch

from metastyle_core.errors import FilmError
from metastyle_core.film.frames import FilmFrame, ahead, over_white, pyav, require_file


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_images_and_alpha_span_the_range_of_the_pixels(kind):
    most = np.iinfo(kind).max
    pixels = np.array([[[0, most, most // 5]]], kind)
    frame = FilmFrame(1, Fraction(0), None, pixels, pixels[..., 2])
    image, alpha = frame.image(), frame.alpha()
    assert image.dtype == alpha.dtype == torch.float32
    torch.testing.assert_close(image, torch.tensor([0, 1, 0.2]).view(1, 3, 1, 1))
    torch.testing.assert_close(alpha, torch.tensor([[[[0.2]]]]))
    assert FilmFrame(1, Fraction(0), None, pixels).alpha() is None


def test_colours_lie_over_white_by_their_alpha():
    rgba = np.array([[[0, 255, 51, 51], [9, 9, 9, 0]]], np.uint8)
    colour, alpha = over_white(rgba)
    assert colour.tolist() == [[[52428, 65535, 55049], [65535] * 3]]
    assert alpha.tolist() == [[13107, 0]]


class Alone:
    """Items that notice when two threads want one at once."""

    def __init__(self, items):
        self._items, self._busy, self.crowded = iter(items), threading.Lock(), threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        if not self._busy.acquire(blocking=False):
            self.crowded.set()
            raise StopIteration
        try:
            self.crowded.wait(0.005)
            return next(self._items)
        finally:
            self._busy.release()


@pytest.mark.parametrize("items", [[], [1], [None, 0, None], range(9)])
def test_all_items_are_read_ahead_by_one_thread(items):
    source = Alone(items)
    assert list(ahead(source)) == list(items)
    assert not source.crowded.is_set()


def test_no_more_items_are_read_ahead_than_wait():
    taken: list[int] = []
    reading = ahead((taken.append(n) or n for n in range(9)), depth=2)
    assert next(reading) == 0
    reading.close()
    assert len(taken) <= 3


def test_without_pyav_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FilmError, match=r"^Films need PyAV; install it with: pip install av$"):
        pyav()


def test_a_film_is_a_file_that_is_there_and_not_empty(tmp_path):
    (empty := tmp_path / "empty.mp4").touch()
    for path, words in (
        (tmp_path, " is a folder; a film is needed."),
        (tmp_path / "none.mp4", " does not exist; check the name of the film."),
        (empty, " is empty; export or download it again."),
    ):
        with pytest.raises(FilmError) as caught:
            require_file(path)
        assert str(caught.value) == f"{path}{words}"
    empty.write_bytes(b"1")
    require_file(empty)
