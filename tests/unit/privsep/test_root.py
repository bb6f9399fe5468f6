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

"""Without a device; on one: tests/integration/volume/test_root.py."""

import hashlib
import os
import pathlib
import subprocess
from unittest import mock

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import copier
from nova_docker.privsep import disk
from nova_docker.privsep import filesystem
from nova_docker.privsep import program
from nova_docker.privsep import root
from tests.fixtures import privsep


class RootTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.device = str(self.folder / 'volume')
        self.data = bytes(range(256)) * (9 << 10)
        pathlib.Path(self.device).write_bytes(self.data)
        self.place = str(self.folder / 'place')

    def program(self, code=0, said=b''):
        """The program that works on the file system, and what checks it."""
        self.useFixture(fixtures.MockPatchObject(
            root, '_check', autospec=True))
        return self.useFixture(fixtures.MockPatchObject(
            subprocess, 'run', autospec=True,
            return_value=subprocess.CompletedProcess(
                (), code, said, b''))).mock

    def test_read(self):
        self.assertEqual(len(self.data), root.size(self.device))
        self.assertEqual(self.data[7:19], root.read(self.device, 7, 12))
        self.assertEqual(self.data[-3:],
                         root.read(self.device, len(self.data) - 3, 9))

    def test_digests(self):
        for length in (0, 1, 1 << 20, (1 << 20) + 1, 2 << 20):
            part = self.data[:length]
            self.assertEqual(
                (hashlib.md5(part, usedforsecurity=False).hexdigest(),
                 hashlib.sha256(part).hexdigest()),
                root.digests(self.device, length))

    def test_document(self):
        self.program(said=b'{}')
        self.assertEqual(b'{}', root.document(self.device, self.place))
        self.assertFalse(os.path.exists(self.place))

    def test_no_document(self):
        done = self.program(code=2).return_value
        self.assertIsNone(root.document(self.device, self.place))
        done.returncode = 5
        self.assertRaises(OSError, root.document, self.device, self.place)
        done.returncode = 1
        self.assertRaises(processutils.ProcessExecutionError, root.document,
                          self.device, self.place)
        self.assertFalse(os.path.exists(self.place))

    def test_too_large_a_document(self):
        self.program(said=b'x' * (copier.LIMIT + 1))
        self.assertRaises(ValueError, root.document, self.device, self.place)

    def test_make(self):
        run = self.program()
        root.make(self.device, self.place, ['/a', '/b'], b'{}')
        (made, _), (filled, given) = ((call.args[0], call.kwargs)
                                      for call in run.call_args_list)
        self.assertEqual(('mke2fs', root.LABEL, self.device),
                         (made[0], *made[-2:]))
        self.assertEqual(('fill', self.device, self.place, '/a', '/b'),
                         filled[-5:])
        self.assertEqual(b'{}', given['input'])

    def test_not_made_when_it_is_gone(self):
        run = self.program()
        self.assertRaises(FileNotFoundError, root.make, f'{self.device}x',
                          self.place, ['/a'], b'{}')
        run.assert_not_called()


class FileSystemTest(base.BaseTestCase):
    """The programs of e2fsprogs, which take a file for a device."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        folder = self.useFixture(fixtures.TempDir()).path
        self.device, self.place = f'{folder}/volume', f'{folder}/place'
        with open(self.device, 'wb') as file:
            file.truncate(16 << 20)
        self.program = self.useFixture(fixtures.MockPatchObject(
            root, '_program', autospec=True, return_value=b'{}')).mock

    def make(self):
        root.make(self.device, self.place, ['/a'], b'{}')

    def test_made_over_anything(self):
        """Nobody is there to be asked."""
        with open(self.device, 'r+b') as file:
            file.write(b'an archive' * 100000)
        for _again in range(2):
            self.make()
            found = filesystem.probe(self.device)
            self.assertEqual(('ext4', root.LABEL),
                             (found['TYPE'], found['LABEL']))

    def test_grows_before_it_is_mounted(self):
        self.make()
        with open(self.device, 'r+b') as file:
            file.truncate(32 << 20)
        root._check(self.device, whole=False)
        self.assertEqual(16 << 20, disk.size(self.device))
        for _again in range(2):
            root._check(self.device, whole=True)
            self.assertEqual(32 << 20, disk.size(self.device))

    def test_in_use_for_a_moment(self):
        """By a container that starts, and has the mounts of the host yet."""
        in_use = processutils.ProcessExecutionError(
            stdout='/dev/loop3 is in use.\n', exit_code=8)
        run = self.useFixture(fixtures.MockPatchObject(
            root.filesystem, 'run', autospec=True,
            side_effect=[in_use, in_use, ''])).mock
        root._fsck('-p', self.device)
        self.assertEqual(3, run.call_count)
        run.side_effect = processutils.ProcessExecutionError(exit_code=8)
        self.assertRaises(processutils.ProcessExecutionError, root._fsck,
                          '-p', self.device)
        self.assertEqual(4, run.call_count)

    def test_damaged(self):
        self.make()
        self.assertEqual(b'{}', root.document(self.device, self.place))
        with open(self.device, 'r+b') as file:
            file.seek(2048)
            file.write(b'\xa5' * (1 << 20))
        self.program.reset_mock()
        for function in (root.document, self.attach):
            self.assertRaises(processutils.ProcessExecutionError, function,
                              self.device, self.place)
        self.program.assert_not_called()

    def attach(self, device, place):
        with mock.patch.object(root, '_detach', autospec=True):
            root.attach(device, place, '/absent', ['diff', 'work'])

    def test_journal_elsewhere(self):
        self.make()
        with open(self.device, 'r+b') as file:
            # Its inode's number.
            file.seek(1024 + 0xe0)
            file.write(bytes(4))
        self.assertRaises(ValueError, root.document, self.device, self.place)


class ArrangeTest(base.BaseTestCase):
    """The top of a root volume, as a container's layer."""

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.seen, self.directory = folder / 'seen', folder / 'directory'
        for path in (self.seen, self.directory):
            path.mkdir()
        for name in ('link', 'lower'):
            (self.directory / name).write_text(f'own {name}')
        (self.directory / 'diff').mkdir()
        (self.seen / 'image.json').write_text('{}')
        (self.seen / 'lost+found').mkdir()

    def arrange(self, upper='diff'):
        root._arrange(str(self.seen), str(self.directory), upper, 'work')

    def test_from_either_store(self):
        (self.seen / 'diff').mkdir()
        (self.seen / 'diff/file').write_text('kept')
        for upper in ('diff', 'fs', 'fs', 'diff'):
            self.arrange(upper)
            self.assertEqual(
                sorted(('image.json', 'link', 'lost+found', 'lower', 'work',
                        upper)), sorted(os.listdir(self.seen)))
            self.assertEqual('kept',
                             (self.seen / upper / 'file').read_text())
            self.assertEqual('own link', (self.seen / 'link').read_text())

    def test_hostile(self):
        (self.seen / 'diff').mkdir()
        outside = self.directory / 'outside'
        outside.mkdir()
        (outside / 'secret').write_text('s')
        for name in ('work', 'merged', 'link', 'lower'):
            (self.seen / name).symlink_to(outside)
        (self.seen / 'deep').mkdir()
        self.arrange()
        self.assertEqual(['secret'], os.listdir(outside))
        self.assertFalse((self.seen / 'link').is_symlink())
        self.assertTrue((self.seen / 'work').is_dir())
        self.assertFalse((self.seen / 'work').is_symlink())
        self.assertFalse(os.path.lexists(self.seen / 'merged'))

    def test_work_of_another_kernel_goes(self):
        (self.seen / 'diff').mkdir()
        os.makedirs(self.seen.joinpath('work', 'work', 'incompat'))
        self.arrange()
        self.assertEqual([], os.listdir(self.seen / 'work'))

    def test_not_one_set_of_files(self):
        """Then nothing is removed."""
        (self.seen / 'away').mkdir()
        self.assertRaises(ValueError, self.arrange)
        (self.seen / 'diff').symlink_to(self.seen / 'away')
        self.assertRaises(NotADirectoryError, self.arrange)
        (self.seen / 'fs').mkdir()
        self.assertRaises(ValueError, self.arrange)
        self.assertTrue((self.seen / 'away').exists())


class MountsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.paths = ['/a', '/b']
        self.calls = []
        for name, function in (
                ('of', lambda devices: list(self.paths)),
                ('unmount', self.unmount),
                ('set_read_only', lambda *args: self.calls.append(args))):
            self.useFixture(fixtures.MockPatchObject(
                root.mounts_, name, autospec=True, side_effect=function))

    def unmount(self, path):
        self.calls.append(path)
        self.paths.remove(path)

    def test_detach(self):
        root.detach('/dev/x')
        self.assertEqual(['/b', '/a'], self.calls)
        root.mounts_.of.side_effect = FileNotFoundError()
        root.detach('/dev/x')

    def test_protect(self):
        root.protect('/dev/x', True)
        self.assertEqual([('/a', True), ('/b', True)], self.calls)

    def test_grow(self):
        with mock.patch.object(program, 'run', autospec=True,
                               side_effect=subprocess.SubprocessError):
            self.assertRaises(subprocess.SubprocessError, root.grow, '/dev/x')
        self.assertEqual([('/a', False), ('/b', False), ('/a', True),
                          ('/b', True)], self.calls)
        self.paths = []
        root.grow('/dev/x')

    def test_release(self):
        with mock.patch('os.path.ismount', autospec=True,
                        side_effect=[True, True, False]):
            self.paths = ['/a', '/a']
            root.release('/a')
        self.assertEqual(['/a', '/a'], self.calls)
