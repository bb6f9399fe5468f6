#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""The picture of a console: what its terminal shows, now and then drawn."""

import collections.abc
import re
import time

from PIL import Image

from nova_docker.console import draw
from nova_docker.console import loop
from nova_docker.console import replay
from nova_docker.console import screen

#: Seconds between two pictures, and bytes that are drawn for one of them.
_FRAME = 0.05
_DRAWN = 1 << 12
#: Seconds that either half of a picture may take: what is written makes cells,
#: and these pixels. Guests know of few bytes that are much work, and all that
#: nova-compute does has to wait for it.
_WORK = 0.01
#: For a second of work, the seconds without any.
_REST = 4
#: Bytes that wait to be drawn; of more, only the last are.
MOST_UNDRAWN = 1 << 15
#: Bytes of the past that are drawn.
_PAST = 1 << 14

#: What is drawn at once: one sequence, by either byte that begins it, and some
#: of the text behind it.
_PIECE = re.compile(rb'.[^\x1b\x9b]{0,255}', re.DOTALL)


class Picture:
    """Draws what the terminal shows.

    :ivar viewers: called with the boxes that have changed
    """

    def __init__(self, loop: loop.Loop, rows: int, columns: int,
                 answer: collections.abc.Callable[[bytes], object]) -> None:
        """:param answer: called with the terminal's answers to programs"""
        self._loop = loop
        self._screen = screen.Screen(rows, columns, answer)
        self._canvas = draw.Canvas(rows, columns)
        self._undrawn = bytearray()
        #: Rows of cells that have no pixels yet.
        self._unpainted: dict[int, screen.Row] = {}
        self._is_due = False
        self._rest = _FRAME
        self.viewers: list[collections.abc.Callable[
            [list[draw.Box]], object]] = []

    @property
    def image(self) -> Image.Image:
        """As it is now, in RGB."""
        return self._canvas.image

    @property
    def has_application_keys(self) -> bool:
        """Whether the program wants other bytes of the cursor keys."""
        return self._screen.has_application_keys

    def replay(self, output: bytes) -> None:
        """Show what is past: its questions have been answered."""
        self.show(replay.unasked(replay.last(output, _PAST)))

    def show(self, output: bytes) -> None:
        """Show something, soon; of very much, the last."""
        self._undrawn += output
        if len(self._undrawn) > MOST_UNDRAWN:
            self._undrawn[:] = replay.last(bytes(self._undrawn), _DRAWN)
        self._soon()

    def resize(self, rows: int, columns: int) -> None:
        """Have another size, if it is one; what is shown stays.

        Viewers are called anyway, who may have asked for it.
        """
        if (rows, columns) != (self._screen.rows, self._screen.columns):
            self._screen.resize(rows, columns)
            self._canvas = draw.Canvas(rows, columns)
            self._unpainted.clear()
        self._soon()

    def _soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.later(self._rest, self._draw)

    def _draw(self) -> None:
        began = time.thread_time()
        self._is_due = False
        self._write(began + _WORK)
        self._unpainted |= self._screen.changed()
        boxes = self._paint(time.thread_time() + _WORK)
        for viewer in list(self.viewers):
            viewer(boxes)
        self._rest = max(_FRAME, _REST * (time.thread_time() - began))
        if self._undrawn or self._unpainted:
            self._soon()

    def _write(self, until: float) -> None:
        drawn = 0
        for piece in _PIECE.finditer(bytes(self._undrawn[:_DRAWN])):
            self._screen.feed(piece[0])
            drawn = piece.end()
            if time.thread_time() > until:
                break
        del self._undrawn[:drawn]

    def _paint(self, until: float) -> list[draw.Box]:
        boxes = []
        for number in list(self._unpainted):
            boxes += self._canvas.paint({number: self._unpainted.pop(number)})
            if time.thread_time() > until:
                break
        return boxes
