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

"""Root filesystems on a real engine, with each of its image stores."""

import bz2
import gzip
import io
import lzma
import os
import tarfile

from backports import zstd
import docker
from nova import exception

from tests.fixtures import archives
from tests.fixtures import dockerd
from tests.integration.image import base

NOISE = archives.tar([('usr/noise', os.urandom(1 << 20))])
member = archives.member

PACK = (bytes, gzip.compress, bz2.compress, lzma.compress, zstd.compress)


def with_members(data, *members):
    """An archive with the members of another one, and more."""
    buffer = io.BytesIO(data)
    with tarfile.open(fileobj=buffer, mode='a') as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Cases:
    """What holds for each store."""

    def meta(self, **changes):
        return super().meta(**{'container_format': 'bare'} | changes)

    def ensure(self, data, **kwargs):
        return super().ensure(data, properties={'image_type': 'rootfs'},
                              **kwargs)

    def test_every_compression(self):
        data = dockerd.busybox_layer()
        for pack in PACK:
            image = self.ensure(pack(data))
            found = self.engine.inspect_image(image.reference)
            self.assertEqual(self.engine.version()['Arch'],
                             found['Architecture'])
            self.assertEqual([image.reference], found['RepoTags'])
            self.assertEqual('hello', self.run_in(
                image.reference, 'echo hello'))
            self.remove(image.reference)

    def test_what_a_root_filesystem_has(self):
        data = with_members(
            dockerd.busybox_layer(),
            member('usr/su', mode=0o4755),
            member('usr/disk', tarfile.BLKTYPE, devmajor=7, mode=0o666),
            member('usr/fifo', tarfile.FIFOTYPE),
            member('usr/busybox', tarfile.LNKTYPE, linkname='bin/busybox',
                   mode=0o755),
            archives.link('usr/mtab', '../../proc/self/mounts'))
        image = self.ensure(lzma.compress(data))
        self.assertEqual('4755', self.run_in(
            image.reference, 'stat -c %a /usr/su'))
        self.assertEqual('true', self.run_in(
            image.reference, 'test -p /usr/fifo && /usr/busybox echo true'))
        # The node is there, and the device is not for the container.
        self.assertIn('Operation not permitted', self.run_in(
            image.reference, 'test -b /usr/disk && cat /usr/disk 2>&1'))

    def test_refused(self):
        for pack in PACK:
            data = pack(NOISE)
            self.refused(data[:len(data) // 2], 'truncated')
            # What is cut between two members is whole to the engine.
            end = pack(NOISE.rstrip(b'\0') + bytes(
                -len(NOISE.rstrip(b'\0')) % 512))
            self.refused(end, 'truncated')
        for data, text in (
                (b'', 'empty'), (b'junk' * (1 << 18), 'not a tar'),
                (b'QFI\xfb\0\0\0\3' + bytes(1 << 20), 'qcow2'),
                (gzip.compress(gzip.compress(NOISE)), 'twice'),
                (archives.docker25([NOISE]), 'container_format docker')):
            self.refused(data, text)
        self.assert_nothing_left()

    def test_damaged_in_the_middle(self):
        for pack in (gzip.compress, bz2.compress, lzma.compress):
            data = bytearray(pack(NOISE))
            data[len(data) // 2] ^= 1
            self.refused(bytes(data), 'damaged')
        self.assert_nothing_left()

    def test_bombs(self):
        bomb = archives.tar([('usr/bomb', bytes(64 << 20))])
        for pack in PACK:
            self.refused(pack(bomb), 'too small',
                         exception.FlavorDiskSmallerThanImage,
                         root_bytes=8 << 20)
        sparse = member('usr/bomb', pax_headers={
            'GNU.sparse.size': str(1 << 40), 'GNU.sparse.map': f'{1 << 40},0'})
        self.refused(archives.tar([sparse]), 'sparse')
        self.assert_nothing_left()

    def test_large_windows(self):
        packed = zstd.ZstdCompressor(options={
            zstd.CompressionParameter.window_log: 27})
        self.refused(packed.compress(NOISE) + packed.flush(), 'memory')
        self.refused(lzma.compress(NOISE, filters=[{
            'id': lzma.FILTER_LZMA2, 'dict_size': 1 << 27}]), 'memory')

    def test_download_that_breaks(self):
        for stored in (NOISE, gzip.compress(NOISE)):
            for end in (0, 1 << 19, len(stored)):
                self.refused(base.Glance(stored, breaks_at=end),
                             'Could not fetch', exception.CouldNotFetchImage)
        self.assert_nothing_left()

    def test_link_to_what_is_not_there(self):
        odd = archives.tar([
            ('usr/a', b''),
            archives.link('usr/b', 'usr/absent', tarfile.LNKTYPE)])
        self.refused(odd, 'absent')
        self.assert_nothing_left()

    def test_names_that_lead_out(self):
        for each in base.leading_out():
            with base.untouched(self):
                self.try_root(archives.tar([('usr/ok', b''), each]))

    def try_root(self, data):
        """Import it, if the engine does, and look at what it has."""
        try:
            image = self.ensure(data)
            self.files(image.reference)
            self.remove(image.reference)
        except (exception.ImageUnacceptable, docker.errors.APIError):
            pass


class ClassicStoreTestCase(Cases, base.ClassicStore):
    pass


class ContainerdStoreTestCase(Cases, base.ContainerdStore):
    pass
