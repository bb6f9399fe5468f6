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

import gzip
import pathlib
import re
import shutil
import stat
import subprocess

import fixtures
from oslotest import base

from evalcloud import busybox
from evalcloud import packages
from evalcloud import progress
from evalcloud import virtual_machine
from tests.unit.tools import base as tools_base


class ArchiveTest(base.BaseTestCase):

    def test_format(self):
        archive = virtual_machine.Archive()
        archive.add('a', stat.S_IFREG | 0o644, b'content')
        data = archive.end()
        self.assertEqual(b'070701', data[:6])
        self.assertEqual(0o100644, int(data[14:22], 16))
        self.assertEqual(len(b'content'), int(data[54:62], 16))
        # The name and its header together are filled up to four bytes.
        self.assertEqual(b'a\0', data[110:112])
        self.assertEqual(b'content\0', data[112:120])
        self.assertEqual(b'070701', data[120:126])
        self.assertIn(b'TRAILER!!!\0', data)

    def test_unpacked(self):
        """GNU cpio and the kernel have the same format."""
        program = shutil.which('cpio')
        if not program:
            self.skipTest('no cpio')
        folder = self.useFixture(fixtures.TempDir()).path
        archive = virtual_machine.Archive()
        archive.add('d', stat.S_IFDIR | 0o755)
        archive.add('d/file', stat.S_IFREG | 0o600, b'12345')
        archive.add('link', stat.S_IFLNK | 0o777, b'd/file')
        subprocess.run([program, '-idm'], input=archive.end(), check=True,
                       cwd=folder, capture_output=True)
        self.assertEqual('12345', pathlib.Path(folder, 'link').read_text())
        mode = pathlib.Path(folder, 'd/file').stat().st_mode
        self.assertEqual(0o600, stat.S_IMODE(mode))


class DiskTest(tools_base.CacheTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            packages, 'candidate', autospec=True, return_value='1'))

    def _run(self, answer):
        return self.useFixture(fixtures.MockPatchObject(
            progress, 'run', autospec=True, return_value=answer)).mock

    def test_kernel(self):
        self._run('linux-image-cloud-amd64\n'
                  '  Depends: linux-image-6.1.0-56-cloud-amd64\n')
        self.assertEqual('linux-image-6.1.0-56-cloud-amd64',
                         virtual_machine._kernel())

    def test_no_kernel(self):
        self._run('')
        self.assertRaisesRegex(progress.Failure, 'linux-image-cloud-amd64',
                               virtual_machine._kernel)

    def test_initial_files(self):
        for name in virtual_machine._MODULES:
            file = self.folder / f'lib/modules/6/kernel/drivers/{name}.ko'
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'module {name}.')
        program = self.folder / 'busybox'
        program.write_text('program')
        self.useFixture(fixtures.MockPatchObject(
            busybox, 'program', autospec=True, return_value=program))
        self.useFixture(fixtures.MockPatchObject(
            busybox, 'applets', autospec=True,
            return_value=['busybox', 'sh', 'udhcpc']))
        data = virtual_machine._initial_files(self.folder)
        for part in (b'module virtio_net.', b'virtio_net.ko csum=0', b'init\0',
                     b'bin/udhcpc\0', b'etc/udhcpc.script\0'):
            self.assertIn(part, data)
        # Each module finds there what it needs.
        order = re.findall(r'(\w+\.ko) ', data.decode(errors='replace'))
        self.assertLess(order.index('virtio_ring.ko'),
                        order.index('virtio.ko'))
        self.assertLess(order.index('net_failover.ko'),
                        order.index('virtio_net.ko'))

    def test_disk_is_made_once(self):
        made = []

        def make(folder):
            folder.mkdir()
            made.append(folder.name)

        self.useFixture(fixtures.MockPatchObject(
            virtual_machine, '_make', make))
        first, second = virtual_machine.disk(), virtual_machine.disk()
        self.assertEqual(first, second)
        self.assertEqual(1, len(made))
        # Another system in it is another image.
        self.useFixture(fixtures.MockPatchObject(
            virtual_machine, '_MODULES', {}))
        self.assertNotEqual(first, virtual_machine.disk())

    def test_boot_disk(self):
        (self.folder / 'boot').mkdir()
        (self.folder / 'boot/vmlinuz-6').write_bytes(b'kernel')
        self.useFixture(fixtures.MockPatchObject(
            virtual_machine, '_initial_files', autospec=True,
            return_value=b'files'))
        kept = {}

        def run(*command, env):
            for file in self.folder.glob('*'):
                if file.is_file():
                    kept[file.name] = file.read_bytes()
            self.assertIn(f'{self.folder}/usr/bin', env['PATH'])

        self.useFixture(fixtures.MockPatchObject(progress, 'run', run))
        raw = self.folder / 'disk.raw'
        virtual_machine._boot_disk(raw, self.folder, self.folder)
        self.assertEqual(b'files', gzip.decompress(kept['initrd.gz']))
        self.assertIn(b'console=ttyS0', kept['syslinux.cfg'])
        self.assertEqual(0, raw.stat().st_size % 512)
