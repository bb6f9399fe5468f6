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

"""Draws the cells of a terminal as pixels."""

import functools
import io
import typing

from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont
import pymupdf_fonts

from nova_docker.console import screen

#: Height of the characters in pixels, without what is above and below them.
_SIZE = 14

#: xterm's colors, by pyte's names for them.
_COLORS = {
    'black': 0x000000, 'red': 0xcd0000, 'green': 0x00cd00, 'brown': 0xcdcd00,
    'blue': 0x2a4fd6, 'magenta': 0xcd00cd, 'cyan': 0x00cdcd,
    'white': 0xe5e5e5, 'brightblack': 0x7f7f7f, 'brightred': 0xff0000,
    'brightgreen': 0x00ff00, 'brightbrown': 0xffff00, 'brightblue': 0x5c5cff,
    'brightmagenta': 0xff00ff, 'bfightmagenta': 0xff00ff,
    'brightcyan': 0x00ffff, 'brightwhite': 0xffffff}
_FOREGROUND, _BACKGROUND = 0xe5e5e5, 0x000000

Rgb = tuple[int, int, int]
#: Left, top, right and bottom, the latter two outside.
Box = tuple[int, int, int, int]


@functools.cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    """Cascadia Mono: Latin, Greek, Cyrillic, boxes, blocks and Braille."""
    name = 'cascadiab' if bold else 'cascadia'
    return ImageFont.truetype(
        io.BytesIO(pymupdf_fonts.fontbuffers[name]()), _SIZE)


@functools.cache
def cell() -> tuple[int, int]:
    """Width and height of a cell in pixels."""
    ascent, descent = _font(False).getmetrics()
    return round(_font(False).getlength('M')), ascent + descent


def _rgb(name: str, default: int) -> Rgb:
    """:param name: one of _COLORS, six hexadecimal digits, or default"""
    value = (_COLORS[name] if name in _COLORS else
             default if name == 'default' else int(name, 16))
    return value >> 16, value >> 8 & 0xff, value & 0xff


@functools.lru_cache(maxsize=4096)
def _glyph(char: typing.Any, cells: int) -> Image.Image:
    """The picture of a cell, or of two.

    :param char: pyte.screens.Char
    """
    width, height = cell()
    foreground, background = (_rgb(char.fg, _FOREGROUND),
                              _rgb(char.bg, _BACKGROUND))
    if char.reverse:
        foreground, background = background, foreground
    picture = Image.new('RGB', (cells * width, height), background)
    draw = ImageDraw.Draw(picture)
    if char.data != ' ':
        draw.text((0, 0), char.data, fill=foreground, font=_font(char.bold))
    for drawn, at in ((char.underscore, height - 2),
                      (char.strikethrough, height // 2)):
        if drawn:
            draw.line((0, at, cells * width, at), fill=foreground)
    return picture


class Canvas:
    """The picture of a terminal.

    :ivar image: PIL.Image.Image in RGB
    """

    def __init__(self, rows: int, columns: int) -> None:
        width, height = cell()
        self.image = Image.new('RGB', (columns * width, rows * height))
        self._shown: dict[int, screen.Row] = {}

    def paint(self, rows: dict[int, screen.Row]) -> list[Box]:
        """Draw what is not there yet; what of the picture has changed.

        :param rows: of :meth:`nova_docker.console.screen.Screen.changed`
        """
        width, height = cell()
        boxes = []
        for number, row in rows.items():
            first, end = _difference(self._shown.get(number), row)
            if first == end:
                continue
            self._shown[number] = row
            for column in range(first, end):
                if row[column].data:
                    wide = column + 1 < len(row) and not row[column + 1].data
                    self.image.paste(
                        _glyph(row[column], 2 if wide else 1),
                        (column * width, number * height))
            boxes.append((first * width, number * height, end * width,
                          (number + 1) * height))
        return boxes


def _difference(old: screen.Row | None, new: screen.Row) -> tuple[int, int]:
    """The first column that differs and the one behind the last.

    Both halves of a wide character, where one of them does.
    """
    if old is None:
        return 0, len(new)
    differ = [column for column, pair in enumerate(zip(old, new))
              if pair[0] != pair[1]]
    if not differ:
        return 0, 0
    first, end = differ[0], differ[-1] + 1
    while first and not (new[first].data and old[first].data):
        first -= 1
    while end < len(new) and not (new[end].data and old[end].data):
        end += 1
    return first, end
