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

"""Block devices and their nodes; real ones are in tests/integration."""

import contextlib
import errno
import os
import stat
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.privsep import cgroup
from nova_docker.privsep import device
from nova_docker.privsep import inside
from tests.fixtures import privsep

NODE = (12, 'id', 'vdb', 8, 16, 'rwm', 0o660, 6)


class DeviceTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.calls = mock.Mock()
        self.calls.change = self._patch(cgroup, 'change')
        self.processes = self._patch(cgroup, 'processes')
        self.processes.return_value = []
        self._patch(inside, 'open_directory').side_effect = self._open

    def _patch(self, module, name):
        return self.useFixture(fixtures.MockPatchObject(
            module, name, autospec=True)).mock

    @contextlib.contextmanager
    def _open(self, pid, container, path):
        self.assertEqual((12, 'id', '/dev'), (pid, container, path))
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def accesses(self):
        return [call.args[4] for call in self.calls.change.call_args_list]


class FindTest(DeviceTestCase):

    def test_links_are_followed(self):
        link = os.path.join(self.directory, 'link')
        file = os.path.join(self.directory, 'file')
        os.symlink('file', link)
        with open(file, 'w'):
            pass
        error = self.assertRaises(ValueError, device.find, link)
        self.assertIn(file, str(error))
        block = os.stat_result((stat.S_IFBLK | 0o660, *[0] * 9),
                               {'st_rdev': os.makedev(8, 16)})
        with mock.patch.object(os, 'stat', autospec=True,
                               return_value=block):
            self.assertEqual((os.path.realpath(link), 8, 16),
                             device.find(link))

    def test_not_there(self):
        self.assertRaises(FileNotFoundError, device.find, '/dev/no-such')


class ClaimTest(DeviceTestCase):

    def test_exclusive(self):
        with (mock.patch.object(os, 'open', autospec=True,
                                return_value=9) as opens,
              mock.patch.object(os, 'close', autospec=True) as closes):
            for read_only, mode in ((True, os.O_RDONLY), (False, os.O_RDWR)):
                device.claim('/dev/sdb', read_only)
                opens.assert_called_with(
                    '/dev/sdb', mode | os.O_EXCL | os.O_CLOEXEC)
        self.assertEqual([mock.call(9)] * 2, closes.call_args_list)


class GiveTest(DeviceTestCase):

    def test_something_else_is_there(self):
        for make in (lambda path: open(path, 'w').close(), os.mkdir,
                     lambda path: os.symlink('/etc/passwd', path)):
            path = os.path.join(self.directory, 'vdb')
            make(path)
            with mock.patch.object(os, 'mknod', autospec=True,
                                   side_effect=FileExistsError):
                self.assertRaises(FileExistsError, device.give, *NODE)
            # Allowed, and denied again.
            self.assertEqual(['rwm', ''], self.accesses()[-2:])
            (os.rmdir if os.path.isdir(path) else os.unlink)(path)

    def test_not_allowed(self):
        self.calls.change.side_effect = OSError(errno.EPERM, 'no')
        with mock.patch.object(os, 'mknod', autospec=True) as made:
            self.assertRaises(OSError, device.give, *NODE)
        made.assert_not_called()


class TakeTest(DeviceTestCase):

    def setUp(self):
        super().setUp()
        self.made = self._patch(device, '_make')
        self.user = self._patch(device, '_user')
        self.user.side_effect = lambda pid, number: (
            f'dd ({pid})' if pid == 14 else None)

    def test_not_in_use(self):
        self.processes.return_value = [12, 13]
        self.assertEqual([], device.take(*NODE))
        self.assertEqual([''], self.accesses())
        self.made.assert_not_called()

    def test_in_use(self):
        self.processes.return_value = [12, 14]
        self.assertEqual(['dd (14)'], device.take(*NODE))
        self.assertEqual(['', 'rwm'], self.accesses())
        self.made.assert_called_once_with(
            12, 'id', 'vdb', os.makedev(8, 16), 0o660, 6)

    def test_fails(self):
        self.processes.side_effect = OSError(errno.EIO, 'no')
        self.assertRaises(OSError, device.take, *NODE)
        self.assertEqual(['', 'rwm'], self.accesses())
        self.made.assert_called_once()

    def test_what_is_no_node_of_it_stays(self):
        path = os.path.join(self.directory, 'vdb')
        with open(path, 'w'):
            pass
        device.take(*NODE)
        self.assertTrue(os.path.exists(path))


class UserTest(DeviceTestCase):

    def test_no_user(self):
        self.assertIsNone(device._user(os.getpid(), os.makedev(8, 16)))
        self.assertIsNone(device._user(2 ** 22 + 1, os.makedev(8, 16)))

    def test_name(self):
        self.assertRegex(device._name(os.getpid()), rf'^.+ \({os.getpid()}\)$')


class CopyTest(base.BaseTestCase):
    """Of files; of devices: tests/integration/volume/test_device.py."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        folder = self.useFixture(fixtures.TempDir()).path
        self.paths = [os.path.join(folder, name) for name in ('old', 'new')]
        for path, data in zip(self.paths, (b'abcdef', b'......!')):
            with open(path, 'wb') as file:
                file.write(data)

    def new(self):
        with open(self.paths[1], 'rb') as file:
            return file.read()

    def test_pieces(self):
        self.useFixture(fixtures.MockPatchObject(device, '_CHUNK', 2))
        device.copy(*self.paths, 1, 3)
        self.assertEqual(b'.bcd..!', self.new())
        device.copy(*self.paths, 0, 6)
        self.assertEqual(b'abcdef!', self.new())

    def test_ends_early(self):
        error = self.assertRaises(OSError, device.copy, *self.paths, 4, 8)
        self.assertEqual(errno.EIO, error.errno)
