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

import struct
import zlib

from oslotest import base
from PIL import Image

from nova_docker.console import pixels


def parse(bits, depth, big_endian, maximums, shifts, true_color=1):
    return pixels.PixelFormat.parse(struct.pack(
        '!BBBBHHHBBB3x', bits, depth, big_endian, true_color, *maximums,
        *shifts))


RGB565 = (16, 16, 0, (31, 63, 31), (11, 5, 0))


class PixelFormatTest(base.BaseTestCase):

    def test_round_trip(self):
        self.assertEqual(pixels.NATIVE, pixels.PixelFormat.parse(
            pixels.NATIVE.to_bytes()))

    def test_refused(self):
        for changes in (((255, 255, 255), (16, 16, 0)),
                        ((255, 255, 0), (16, 8, 0)),
                        ((254, 255, 255), (16, 8, 0)),
                        ((255, 255, 255), (32, 8, 0))):
            self.assertRaises(ValueError, parse, 32, 24, 0, *changes)
        self.assertRaises(ValueError, parse, 24, 24, 0, (255, 255, 255),
                          (16, 8, 0))
        self.assertRaises(ValueError, parse, 8, 8, 0, (7, 7, 3), (0, 3, 6),
                          true_color=0)

    def encoded(self, *pixel_format):
        encoder = pixels.Encoder()
        encoder.pixels = parse(*pixel_format)
        image = Image.new('RGB', (1, 1), (255, 128, 8))
        return encoder.rectangle(image, (0, 0, 1, 1))[12:]

    def test_pixels(self):
        for wanted, *pixel_format in (
                ('0880ff00', 32, 24, 0, (255, 255, 255), (16, 8, 0)),
                ('00ff8008', 32, 24, 1, (255, 255, 255), (16, 8, 0)),
                ('ff800800', 32, 24, 0, (255, 255, 255), (0, 8, 16)),
                ('01fc', *RGB565), ('fc01', 16, 16, 1, *RGB565[3:]),
                ('27', 8, 8, 0, (7, 7, 3), (0, 3, 6))):
            self.assertEqual(wanted, self.encoded(*pixel_format).hex(),
                             pixel_format)


class EncoderTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.encoder = pixels.Encoder()
        self.image = Image.new('RGB', (100, 70), (1, 2, 3))
        self.image.putpixel((70, 65), (9, 9, 9))

    def test_raw(self):
        data = self.encoder.rectangle(self.image, (70, 65, 72, 66))
        self.assertEqual(struct.pack('!HHHHi', 70, 65, 2, 1, 0) +
                         bytes.fromhex('0909090003020100'), data)

    def test_zrle(self):
        self.encoder.encoding = pixels.ZRLE
        inflate = zlib.decompressobj()
        for _ in range(2):
            data = self.encoder.rectangle(self.image, (0, 0, 100, 70))
            self.assertEqual(struct.pack('!HHHHi', 0, 0, 100, 70, 16),
                             data[:12])
            self.assertEqual(len(data) - 16,
                             struct.unpack('!I', data[12:16])[0])
            tiles = inflate.decompress(data[16:])
            solid = bytes.fromhex('01030201')
            self.assertEqual(3 * solid, tiles[:12])
            self.assertEqual(0, tiles[12])
            self.assertEqual(3 * 36 * 6, len(tiles[13:]))
            self.assertIn(b'\x09' * 3, tiles)

    def test_zrle_of_other_pixels(self):
        self.encoder.encoding = pixels.ZRLE
        for size, pixel_format in (
                (2, RGB565),
                (3, (32, 24, 1, (255, 255, 255), (24, 16, 8))),
                (3, (32, 24, 1, (255, 255, 255), (16, 8, 0))),
                (3, (32, 24, 0, (255, 255, 255), (24, 16, 8))),
                (4, (32, 30, 0, (1023, 1023, 1023), (20, 10, 0)))):
            encoder = pixels.Encoder()
            encoder.encoding = pixels.ZRLE
            encoder.pixels = parse(*pixel_format)
            data = encoder.rectangle(self.image, (0, 0, 1, 1))
            tile = zlib.decompressobj().decompress(data[16:])
            self.assertEqual(1 + size, len(tile), pixel_format)

    def test_sizes(self):
        self.assertEqual('00000000006400c8ffffff21',
                         pixels.desktop_size(100, 200).hex())
        self.assertEqual(
            '00010000006400c8fffffecc' '01000000' '00000000' '00000000'
            '006400c8' '00000000',
            pixels.extended_desktop_size(1, 100, 200).hex())
