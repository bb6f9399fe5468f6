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

"""What a terminal shows: its cells, by the library pyte.

Guests write what they like. What pyte fails at is left out, and no string or
number that does not end makes it take more memory than a screen has.
"""

import collections
import collections.abc
import copy
import re
import typing
import unicodedata

from oslo_log import log as logging
import pyte

LOG = logging.getLogger(__name__)

#: Bytes after which an escape sequence that goes on is given up.
_LONGEST_SEQUENCE = 4096

#: Sequences that pyte takes for others, as it does not know their marks.
_UNKNOWN = re.compile(rb'\x1b\[[<=>][0-9;:]*[@-~]')

#: Private modes that show another screen, without what the first one has.
_OTHER_SCREEN = frozenset((47, 1047, 1049))

#: The private mode of 132 columns: who looks at a terminal gives it its size.
_COLUMNS = 3

#: The private mode in which cursor keys send other bytes, as pyte keeps it.
_APPLICATION_KEYS = 1 << 5

Row = tuple[typing.Any, ...]


class _Cells(pyte.Screen):
    """What pyte's own screen lacks."""

    def __init__(self, columns: int, rows: int,
                 answer: collections.abc.Callable[[bytes], object]) -> None:
        self._answer = answer
        self._first: typing.Any = None
        super().__init__(columns, rows)

    def draw(self, data: str) -> None:
        if not (data.isascii() and data.isprintable()):
            # Marks that do not become one with their character would pile up
            # in its cell, and pyte forgets what follows others without width.
            data = ''.join(char for char in unicodedata.normalize('NFC', data)
                           if pyte.screens.wcwidth(char) > 0)
        super().draw(data)

    def select_graphic_rendition(self, *attrs: int,
                                 private: bool = False) -> None:
        if not private:
            super().select_graphic_rendition(*attrs)

    def save_cursor(self) -> None:
        # A terminal has one place for it. pyte's would grow.
        self.savepoints.clear()
        super().save_cursor()

    def restore_cursor(self) -> None:
        was_saved = bool(self.savepoints)
        super().restore_cursor()
        if was_saved:
            self.save_cursor()

    def set_mode(self, *modes: int, **kwargs: typing.Any) -> None:
        if kwargs.get('private'):
            modes = tuple(mode for mode in modes if mode != _COLUMNS)
            if _OTHER_SCREEN & {*modes}:
                self._show_other()
        super().set_mode(*modes, **kwargs)

    def reset_mode(self, *modes: int, **kwargs: typing.Any) -> None:
        if kwargs.get('private'):
            modes = tuple(mode for mode in modes if mode != _COLUMNS)
            if _OTHER_SCREEN & {*modes}:
                self._show_first()
        super().reset_mode(*modes, **kwargs)

    def _show_other(self) -> None:
        if self._first is None:
            self._first = self.buffer, copy.copy(self.cursor)
        # No copies of it: programs may do this as often as they like.
        self.buffer = collections.defaultdict(
            lambda: pyte.screens.StaticDefaultDict(self.default_char))
        self.dirty.update(range(self.lines))

    def _show_first(self) -> None:
        if self._first is not None:
            self.buffer, self.cursor = self._first
            self._first = None
            self.ensure_hbounds()
            self.ensure_vbounds()
            self.dirty.update(range(self.lines))

    def resize(self, lines: int | None = None,
               columns: int | None = None) -> None:
        rows = lines or self.lines
        if rows < self.lines:
            # pyte drops the first rows, also where the last are empty.
            row, column = self.cursor.y, self.cursor.x
            over = max(0, row + 1 - rows)
            self.set_margins()
            if over:
                self.cursor.y = 0
                self.delete_lines(over)
                self.cursor.y, self.cursor.x = row - over, column
            for number in range(rows, self.lines):
                self.buffer.pop(number, None)
            self.lines = rows
        super().resize(rows, columns)
        self.ensure_hbounds()

    def reset(self) -> None:
        self._first = None
        super().reset()

    def write_process_input(self, data: str) -> None:
        self._answer(data.encode())


class _Stream(pyte.ByteStream):
    @property
    def is_within_sequence(self) -> bool:
        return not self._taking_plain_text


class Screen:
    """The cells of a terminal, and those that have changed."""

    def __init__(self, rows: int, columns: int,
                 answer: collections.abc.Callable[
                     [bytes], object] = lambda data: None) -> None:
        """:param answer: called with what it answers to a program's question
        """
        self._cells = _Cells(columns, rows, answer)
        self._stream = _Stream(self._cells)
        self._sequence = 0
        self._cursor_row = 0

    @property
    def rows(self) -> int:
        return int(self._cells.lines)

    @property
    def columns(self) -> int:
        return int(self._cells.columns)

    @property
    def has_application_keys(self) -> bool:
        """Whether the program wants other bytes of the cursor keys."""
        return _APPLICATION_KEYS in self._cells.mode

    def feed(self, output: bytes) -> None:
        """Show what a program has written."""
        try:
            self._stream.feed(_UNKNOWN.sub(b'', output))
        except Exception as error:
            # It goes on with what comes next.
            LOG.debug('Output that no terminal shows: %r', error)
        if not self._stream.is_within_sequence:
            self._sequence = 0
            return
        self._sequence += len(output)
        if self._sequence > _LONGEST_SEQUENCE:
            self._sequence = 0
            self._stream = _Stream(self._cells)

    def resize(self, rows: int, columns: int) -> None:
        self._cells.resize(rows, columns)
        self._cells.dirty.update(range(rows))

    def changed(self) -> dict[int, Row]:
        """The rows that may have changed since the last call, top to bottom.

        Each is a tuple of pyte.screens.Char, one a column; behind a wide
        character comes one without data. The cursor is a cell in reverse.
        """
        cells = self._cells
        cursor = cells.cursor
        dirty = {*cells.dirty, self._cursor_row, cursor.y}
        cells.dirty.clear()
        self._cursor_row = cursor.y
        rows = {}
        for number in sorted(dirty):
            if number >= cells.lines:
                continue
            line = cells.buffer[number]
            row = [line[column] for column in range(cells.columns)]
            if number == cursor.y and not cursor.hidden:
                at = min(cursor.x, cells.columns - 1)
                row[at] = row[at]._replace(reverse=not row[at].reverse)
            rows[number] = tuple(row)
        return rows
