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

"""What needs no root; with it: tests/integration/transfer/test_archive.py."""

import os
import subprocess

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import archive
from tests.fixtures import fifos
from tests.fixtures import privsep


class ArchiveTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.folder = self.useFixture(fixtures.TempDir())
        self.source, self.target, self.fifo, self.file = (
            self.folder.join(name) for name in (
                'source', 'target', 'fifo', 'file'))
        for path in self.source, self.target:
            os.mkdir(path)
        os.mkfifo(self.fifo)

    def fill(self):
        with open(os.path.join(self.source, 'sparse'), 'wb') as file:
            file.truncate(100 << 20)
            file.seek(50 << 20)
            file.write(os.urandom(100000))
        os.link(file.name, os.path.join(self.source, 'other'))
        os.symlink('/absent', os.path.join(self.source, 'l' * 200))
        with open(os.path.join(os.fsencode(self.source), b'a\nb\xff'), 'w'):
            pass

    def packed(self):
        """What :func:`archive.pack` writes."""
        return fifos.written(self.folder.join('other'), archive.pack,
                             self.source)


class PackTest(ArchiveTestCase):

    def test_holes_are_not_packed(self):
        self.fill()
        self.assertLess(len(self.packed()), 1 << 20)

    def test_content(self):
        self.fill()
        listed = subprocess.run(
            ['tar', '-tvf', '-'], input=self.packed(), check=True,
            capture_output=True).stdout.decode()
        for line in ('a\\nb\\377', '-> /absent', 'link to ./', '104857600'):
            self.assertIn(line, listed)

    def test_nobody_reads(self):
        self.assertRaises(OSError, archive.pack, self.source, self.fifo)

    def test_the_reader_goes(self):
        with open(os.path.join(self.source, 'file'), 'wb') as file:
            file.write(bytes(range(1, 251)) * 10000)
        with fifos.reader(self.fifo, fifos.READ_ONCE):
            self.assertRaises(processutils.ProcessExecutionError,
                              archive.pack, self.source, self.fifo)

    def test_no_fifo(self):
        open(self.file, 'w').close()
        os.symlink(self.fifo, self.folder.join('link'))
        for path in self.file, self.folder.join('link'), '/absent':
            self.assertRaises(OSError, archive.pack, self.source, path)

    def test_no_directory(self):
        os.symlink(self.source, self.folder.join('link'))
        self.source = self.folder.join('link')
        self.assertRaises(NotADirectoryError, self.packed)

    def test_what_tar_says_is_an_error(self):
        self.useFixture(fixtures.MockPatchObject(
            archive, '_SOCKETS', '--no-such-option'))
        error = self.assertRaises(
            processutils.ProcessExecutionError, self.packed)
        self.assertIn('no-such-option', error.stderr)
        error = self.assertRaises(
            processutils.ProcessExecutionError, archive._finish, 'tar', 0,
            b'tar: x: Cannot set xattr')
        self.assertIn('xattr', error.stderr)


class UnpackTest(ArchiveTestCase):

    def test_only_files_into_empty_directories(self):
        for path in self.fifo, self.source, '/absent':
            self.assertRaises(OSError, archive.unpack, path, self.target,
                              os.getpid())
        open(self.file, 'w').close()
        os.symlink(self.file, self.folder.join('link'))
        self.assertRaises(OSError, archive.unpack, self.folder.join('link'),
                          self.target, os.getpid())
        os.mkdir(os.path.join(self.target, 'old'))
        self.assertRaises(OSError, archive.unpack, self.file, self.target,
                          os.getpid())
        self.assertRaises(NotADirectoryError, archive.unpack, self.file,
                          self.file, os.getpid())
