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

import bz2
import gzip
import lzma
import random
import tracemalloc

from backports import zstd
import ddt
from oslotest import base

from nova_docker.image import compression
from nova_docker.image import tar

PACK = {'gzip': gzip.compress, 'zstd': zstd.compress, 'xz': lzma.compress,
        'bzip2': bz2.compress}
MiB = 1 << 20


def unpack(name, data, step=1 << 20):
    inflater = compression.Inflater(name)
    result = b''.join(
        plain for at in range(0, len(data), step)
        for plain in inflater.feed(memoryview(data)[at:at + step]))
    inflater.finish()
    return result


@ddt.ddt
class InflaterTestCase(base.BaseTestCase):

    @ddt.data(*PACK)
    def test_unpack(self, name):
        for data in (b'', b'x', random.Random(1).randbytes(MiB),
                     bytes(compression.CHUNK), bytes(3 * MiB)):
            packed = PACK[name](data)
            self.assertEqual(name, compression.kind(packed))
            for step in (7, 1 << 20):
                self.assertEqual(data, unpack(name, packed[:], step))

    @ddt.data(*PACK)
    def test_several_streams(self, name):
        parts = [b'a' * 1000, b'', b'b' * MiB, random.Random(1).randbytes(100)]
        packed = b''.join(map(PACK[name], parts))
        for step in (1, 1 << 20):
            self.assertEqual(b''.join(parts), unpack(name, packed, step))

    @ddt.data(*PACK)
    def test_truncated(self, name):
        packed = PACK[name](random.Random(1).randbytes(1000))
        for end in (5, 20, 500, len(packed) - 1):
            error = self.assertRaises(tar.Refused, unpack, name, packed[:end])
            self.assertIn('truncated', str(error))

    @ddt.data(*PACK)
    def test_damaged(self, name):
        whole = PACK[name](random.Random(1).randbytes(MiB))
        for at in (len(whole) // 2, len(whole) - 6):
            packed = bytearray(whole)
            packed[at] ^= 1
            if name == 'zstd':
                # Its checksum is an option that this lacks.
                packed = packed[:at] + b'junk' * 1000
            error = self.assertRaises(tar.Refused, unpack, name, packed)
            self.assertIn(f'damaged {name}', str(error))
        self.assertRaises(tar.Refused, unpack, name, whole + b'junk')

    @ddt.data(*PACK)
    def test_bomb_comes_in_bounded_pieces(self, name):
        packed = PACK[name](bytes(64 * MiB))
        inflater = compression.Inflater(name)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        size = 0
        for plain in inflater.feed(packed):
            self.assertLessEqual(len(plain), compression.CHUNK)
            size += len(plain)
        self.assertEqual(64 * MiB, size)
        self.assertLess(tracemalloc.get_traced_memory()[1], 16 * MiB)

    def test_large_windows(self):
        data = random.Random(1).randbytes(1000)
        for level in (1, 19):
            packed = zstd.ZstdCompressor(level)
            self.assertEqual(data, unpack(
                'zstd', packed.compress(data) + packed.flush()))
        packed = zstd.ZstdCompressor(options={
            zstd.CompressionParameter.window_log: 24})
        error = self.assertRaises(
            tar.Refused, unpack, 'zstd',
            packed.compress(data) + packed.flush())
        self.assertIn('much memory', str(error))
        for size, fits in ((64 * MiB, True), (128 * MiB, False)):
            packed = lzma.compress(data, filters=[
                {'id': lzma.FILTER_LZMA2, 'dict_size': size}])
            if fits:
                self.assertEqual(data, unpack('xz', packed))
            else:
                self.assertRaises(tar.Refused, unpack, 'xz', packed)

    def test_skippable_frames_of_zstd(self):
        frame = b'\x5a\x2a\x4d\x18\x04\0\0\0skip'
        packed = frame + zstd.compress(b'data') + frame
        self.assertEqual('zstd', compression.kind(packed))
        self.assertEqual(b'data', unpack('zstd', packed))


class KindTestCase(base.BaseTestCase):

    def test_none(self):
        for start in (b'', b'\x1f', b'BZ', b'P*M', b'plain', bytes(512)):
            self.assertIsNone(compression.kind(start))
