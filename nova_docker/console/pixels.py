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

"""Pictures as the protocol RFB has them: pixel formats and encodings.

Source: RFC 6143, 7.4 and 7.7.
"""

import collections.abc
import dataclasses
import struct
import typing
import zlib

from PIL import Image
from PIL import ImageChops

RAW = 0
ZRLE = 16
DESKTOP_SIZE = -223
EXTENDED_DESKTOP_SIZE = -308

#: Width and height of a tile of ZRLE.
_TILE = 64
#: A tile of pixels one by one, and one of a single color.
_TILE_RAW, _TILE_SOLID = b'\0', b'\1'
_FORMAT = struct.Struct('!BBBBHHHBBB3x')

_Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class PixelFormat:
    """How a client wants a pixel: a number with three colors in it.

    :ivar maximums: of red, green and blue
    :ivar shifts: to the left, of each
    """
    bits: int
    depth: int
    big_endian: bool
    true_color: bool
    maximums: tuple[int, int, int]
    shifts: tuple[int, int, int]

    @classmethod
    def parse(cls, data: bytes) -> typing.Self:
        """:raises ValueError: it is none that a picture can be made in"""
        bits, depth, big_endian, true_color, *colors = _FORMAT.unpack(data)
        found = cls(bits, depth, bool(big_endian), bool(true_color),
                    (colors[0], colors[1], colors[2]),
                    (colors[3], colors[4], colors[5]))
        used = 0
        for maximum, shift in zip(found.maximums, found.shifts):
            field = maximum << shift
            if not maximum or maximum & (maximum + 1) or field & used:
                raise ValueError('the colors of a pixel overlap')
            used |= field
        if not true_color or bits not in (8, 16, 32) or used >> bits:
            raise ValueError('no true colors in 8, 16 or 32 bits')
        return found

    def to_bytes(self) -> bytes:
        return _FORMAT.pack(self.bits, self.depth, self.big_endian,
                            self.true_color, *self.maximums, *self.shifts)

    def planes(self, image: Image.Image) -> list[Image.Image]:
        """A picture for each byte of its pixels, in the order they are sent.

        :param image: in RGB
        """
        colors = image.split()
        planes = []
        for low in range(0, self.bits, 8):
            plane = Image.new('L', image.size)
            for color, maximum, shift in zip(colors, self.maximums,
                                             self.shifts):
                table = [((value * maximum + 127) // 255 << shift >> low)
                         & 0xff for value in range(256)]
                if any(table):
                    plane = ImageChops.add(plane, color.point(table))
            planes.append(plane)
        return planes[::-1] if self.big_endian else planes

    def compressed(self) -> slice:
        """The bytes of a pixel that ZRLE sends."""
        used = 0
        for maximum, shift in zip(self.maximums, self.shifts):
            used |= maximum << shift
        whole = slice(None)
        if self.bits != 32 or self.depth > 24:
            return whole
        if not used >> 24:
            return slice(1, 4) if self.big_endian else slice(0, 3)
        if not used & 0xff:
            return slice(0, 3) if self.big_endian else slice(1, 4)
        return whole


#: What a client gets that does not ask for another one.
NATIVE = PixelFormat(32, 24, False, True, (255, 255, 255), (16, 8, 0))

#: Pillow's names of pictures with one to four planes.
_MODES = ('L', 'LA', 'RGB', 'RGBA')


def _merged(planes: collections.abc.Sequence[Image.Image]) -> Image.Image:
    return Image.merge(_MODES[len(planes) - 1], planes)


class Encoder:
    """Encodes parts of a picture for one client."""

    def __init__(self) -> None:
        self.pixels = NATIVE
        self.encoding = RAW
        # One stream for all that the client gets.
        self._deflate = zlib.compressobj(3)

    def rectangle(self, image: Image.Image, box: _Box) -> bytes:
        """A rectangle of a FramebufferUpdate.

        :param box: left, top, right and bottom, within the picture
        """
        part = image.crop(box)
        planes = self.pixels.planes(part)
        header = struct.pack('!HHHHi', box[0], box[1], *part.size,
                             self.encoding)
        if self.encoding == ZRLE:
            data = self._zrle(_merged(planes[self.pixels.compressed()]))
            return header + struct.pack('!I', len(data)) + data
        return header + _merged(planes).tobytes()

    def _zrle(self, image: Image.Image) -> bytes:
        data = bytearray()
        width, height = image.size
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                tile = image.crop((left, top, min(left + _TILE, width),
                                   min(top + _TILE, height)))
                pixels = tile.tobytes()
                size = len(tile.getbands())
                if pixels == pixels[:size] * (len(pixels) // size):
                    data += _TILE_SOLID + pixels[:size]
                else:
                    data += _TILE_RAW + pixels
        return (self._deflate.compress(data) +
                self._deflate.flush(zlib.Z_SYNC_FLUSH))


def desktop_size(width: int, height: int) -> bytes:
    """The rectangle that says how large the picture is now."""
    return struct.pack('!HHHHi', 0, 0, width, height, DESKTOP_SIZE)


def extended_desktop_size(reason: int, width: int, height: int) -> bytes:
    """The same for clients that can change it.

    :param reason: 0, or 1 when the client wanted it so
    """
    return (struct.pack('!HHHHi', reason, 0, width, height,
                        EXTENDED_DESKTOP_SIZE) +
            struct.pack('!B3xIHHHHI', 1, 0, 0, 0, width, height, 0))
