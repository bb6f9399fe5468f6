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

from PIL import Image

from nova_docker.console import draw
from nova_docker.console import loop
from nova_docker.console import screen

#: Seconds between two pictures, and bytes that are drawn for one of them. It
#: takes the library some milliseconds, which nova-compute does not have then.
_FRAME = 0.05
_DRAWN = 1 << 12
#: Bytes that wait to be drawn; of more, only the last are.
MOST_UNDRAWN = 1 << 15
#: Bytes of the past that are drawn at once.
_PAST = 1 << 14


class Picture:
    """Draws what the terminal shows.

    :ivar viewers: called with the boxes that have changed
    """

    def __init__(self, loop: loop.Loop, rows: int, columns: int,
                 answer: collections.abc.Callable[[bytes], object]) -> None:
        """:param answer: called with the terminal's answers to programs"""
        self._loop = loop
        self._answer = answer
        self._is_past = False
        self._screen = screen.Screen(rows, columns, self._answered)
        self._canvas = draw.Canvas(rows, columns)
        self._undrawn = bytearray()
        self._is_due = False
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
        self._is_past = True
        self._screen.feed(bytes(self._undrawn))
        self._undrawn.clear()
        self._screen.feed(output[-_PAST:])
        self._is_past = False
        self._soon()

    def show(self, output: bytes) -> None:
        """Show something, soon; of very much, the last."""
        self._undrawn += output
        if len(self._undrawn) > MOST_UNDRAWN:
            del self._undrawn[:-_DRAWN]
            # From the beginning of a line, if there is one.
            del self._undrawn[:self._undrawn.find(b'\n') + 1]
        self._soon()

    def resize(self, rows: int, columns: int) -> None:
        """Have another size; what is shown stays."""
        self._screen.resize(rows, columns)
        self._canvas = draw.Canvas(rows, columns)
        self._soon()

    def _answered(self, data: bytes) -> None:
        if not self._is_past:
            self._answer(data)

    def _soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.later(_FRAME, self._draw)

    def _draw(self) -> None:
        self._is_due = False
        self._screen.feed(bytes(self._undrawn[:_DRAWN]))
        del self._undrawn[:_DRAWN]
        if self._undrawn:
            self._soon()
        boxes = self._canvas.paint(self._screen.changed())
        for viewer in list(self.viewers):
            viewer(boxes)
