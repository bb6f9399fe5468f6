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
import io
import lzma
import tarfile

from backports import zstd
import ddt
from oslotest import base

from nova_docker.image import archive
from nova_docker.image import rootfs
from nova_docker.image import tar
from tests.fixtures import archives

member = archives.member

PACK = {'plain': bytes, 'gzip': gzip.compress, 'zstd': zstd.compress,
        'xz': lzma.compress, 'bzip2': bz2.compress}


#: What a root filesystem may have, as debootstrap and LXC pack it.
BODY = [
    archives.directory('./'), archives.directory('./usr/'),
    ('./usr/bin/sh', b'shell' * 500), member('./usr/bin/su', mode=0o4755),
    archives.link('./bin', 'usr/bin'),
    archives.link('./usr/bin/bash', './usr/bin/sh', tarfile.LNKTYPE),
    archives.link('./etc/mtab', '../../../proc/self/mounts'),
    member('./dev/sda', tarfile.BLKTYPE, devmajor=8),
    member('./dev/null', tarfile.CHRTYPE, devmajor=1, devminor=3),
    member('./run/initctl', tarfile.FIFOTYPE),
    member('./usr/bin/ping', pax_headers={
        'SCHILY.xattr.security.capability': 'x'}),
    ('./' + 'n' * 300, b'x'), ('./odd \t name', b'x')]


class Source(io.BytesIO):
    """Gives little at a time, and fails at its end if it is told to."""

    def __init__(self, data, step=700, error=None):
        super().__init__(data)
        self._step = step
        self._error = error

    def read(self, size):
        data = super().read(min(size, self._step))
        if not data and self._error:
            raise self._error
        return data


def members(data):
    """What is in an archive."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive_:
        return [(x.name, x.type, x.mode, x.linkname, x.size, x.devmajor)
                for x in archive_]


@ddt.ddt
class CheckedTestCase(base.BaseTestCase):

    def refused(self, data, text, error=tar.Refused, limit=None):
        pieces = []

        def read():
            pieces.extend(rootfs.checked(io.BytesIO(data), limit))

        raised = self.assertRaises(error, read)
        self.assertIn(text, str(raised))
        self.assert_no_end(b''.join(pieces))

    def assert_no_end(self, data):
        """Assert that it is not a whole archive."""
        parser = tar.Parser()
        for _event in parser.feed(data):
            pass
        self.assertFalse(parser.ended)

    @ddt.data(*PACK)
    def test_root_filesystem(self, name):
        data = archives.tar(BODY)
        packed = PACK[name](data)
        for step in (1, 700, 1 << 20):
            result = b''.join(rootfs.checked(Source(packed, step)))
            self.assertEqual(members(data), members(result))
            # To the byte, but for the zeros that fill the last record.
            self.assertEqual(data.rstrip(b'\0'), result.rstrip(b'\0'))
            self.assertEqual(0, len(result) % 512)
            self.assertEqual(bytes(1024), result[-1024:])

    def test_gnu_format(self):
        data = archives.tar(BODY, tarfile.GNU_FORMAT)
        result = b''.join(rootfs.checked(io.BytesIO(data)))
        self.assertEqual(members(data), members(result))

    def test_nothing_ends_it_before_the_source_ends(self):
        data = archives.tar(BODY)
        for step in (512, 700, 1 << 20):
            pieces = []

            def read(step=step, pieces=pieces):
                pieces.extend(rootfs.checked(Source(
                    data, step, OSError('the signature is wrong'))))

            self.assertRaises(OSError, read)
            self.assertEqual(members(data), members(b''.join(pieces)))
            self.assert_no_end(b''.join(pieces))

    def test_no_empty_piece(self):
        for step in (512, 700, 1 << 20):
            self.assertNotIn(b'', list(
                rootfs.checked(Source(archives.tar(BODY), step))))

    def test_what_follows_the_end_is_dropped(self):
        data = archives.tar(BODY)
        result = b''.join(rootfs.checked(io.BytesIO(data + b'junk' * 1000)))
        self.assertNotIn(b'junk', result)
        self.refused(data + b'junk' * 1000, '', archive.TooLarge, len(data))

    @ddt.data(*PACK)
    def test_truncated(self, name):
        packed = PACK[name](archives.tar(BODY))
        for end in (1, 100, len(packed) // 2, len(packed.rstrip(b'\0')) - 5):
            self.refused(packed[:end], '')
        body = archives.tar(BODY).rstrip(b'\0')
        self.refused(PACK[name](body + bytes(-len(body) % 512)), 'truncated')

    @ddt.data(*PACK)
    def test_bomb(self, name):
        bomb = PACK[name](archives.tar([('usr/bomb', bytes(32 << 20))]))
        read = []

        class Reader(io.BytesIO):
            def read(self, size):
                read.append(data := super().read(min(size, 2000)))
                return data

        self.assertRaises(archive.TooLarge, list, rootfs.checked(
            Reader(bomb), 1 << 20))
        if name == 'plain':
            self.assertLess(sum(map(len, read)), (1 << 20) + 5000)

    def test_limit(self):
        data = archives.tar(BODY)
        b''.join(rootfs.checked(io.BytesIO(data), len(data)))
        self.refused(data, str(len(data)), archive.TooLarge, len(data) - 1)

    def test_compressed_twice(self):
        data = archives.tar(BODY)
        self.refused(gzip.compress(lzma.compress(data)), 'twice')
        # As plain tar it is named so; the engine would unpack it.
        for name in ('BZh', '\x1f\x08', 'P*M\x18'):
            named = archives.tar([(name, b'x'), *BODY])
            if name.startswith('\x1f'):
                named = b'\x1f\x8b' + named[2:]
                self.refused(named, 'damaged')
            else:
                self.refused(zstd.compress(named), 'twice')
        # Also when what tells comes in two pieces.
        named = archives.tar([('BZh', b'x'), *BODY])
        self.refused(gzip.compress(named[:1]) + gzip.compress(named[1:]),
                     'twice')

    def test_sparse_files(self):
        self.refused(archives.tar([*BODY, member('./x', b'S')],
                                  tarfile.GNU_FORMAT), 'sparse')
        self.refused(archives.tar([*BODY, member('./x', pax_headers={
            'GNU.sparse.size': str(1 << 40)})]), 'sparse')

    def test_other_things(self):
        for data, text in (
                (b'', 'empty'), (b'junk' * 1000, 'not a tar'),
                (bytes(5000), 'no files'),
                (archives.tar([archives.directory('./')]), 'no files'),
                (b'QFI\xfb\0\0\0\3' + bytes(10000), 'qcow2'),
                (gzip.compress(b'QFI\xfb\0\0\0\3' + bytes(10000)), 'qcow2'),
                (archives.tar([('metadata.yaml', b''), ('rootfs/bin/sh', b'')
                               ]), 'directory "rootfs"')):
            self.refused(data, text)

    @ddt.data(*archives.LAYOUTS)
    def test_image_archive(self, layout):
        self.refused(archives.LAYOUTS[layout]([archives.tar(BODY)]),
                     'container_format docker')

    def test_metadata_in_a_root_filesystem(self):
        data = archives.tar([*BODY, ('./manifest.json', b'{}')])
        self.assertEqual(members(data), members(
            b''.join(rootfs.checked(io.BytesIO(data)))))

    def test_one_program(self):
        # No distribution, and yet a container can run it.
        data = archives.layer(('hello', b'hello'))
        self.assertEqual(members(data), members(
            b''.join(rootfs.checked(io.BytesIO(data)))))
