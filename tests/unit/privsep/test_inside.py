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

"""On files of this process: its root is the host's, and so are the paths."""

import fcntl
import os
import signal
import stat

import fixtures
from oslotest import base

from nova_docker.privsep import inside
from tests.fixtures import privsep

#: What is in /proc/PID/cgroup of any process.
ANY = ':'


class InsideTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.directory, 'shadow')
        self.write(b'old')

    def write(self, data, path=None):
        with open(path or self.path, 'wb') as file:
            file.write(data)

    def read(self, directory=None, pid=None, container=ANY, name='shadow'):
        return inside.read(pid or os.getpid(), container,
                           directory or self.directory, name, 10)

    def replace(self, old=b'old', new=b'new'):
        return inside.replace(os.getpid(), ANY, self.directory, 'shadow',
                              old, new)

    def test_read_and_replace(self):
        os.chmod(self.path, 0o640)
        self.assertEqual(b'old', self.read())
        with open(self.path, 'rb') as reader:
            self.assertIs(True, self.replace())
            self.assertEqual(b'old', reader.read())
        self.assertEqual(b'new', self.read())
        status = os.stat(self.path)
        self.assertEqual((0o640, os.getuid()), (
            stat.S_IMODE(status.st_mode), status.st_uid))
        self.assertEqual(['shadow'], os.listdir(self.directory))

    def test_extended_attributes(self):
        os.setxattr(self.path, 'user.note', b'x')
        self.replace()
        self.assertEqual(b'x', os.getxattr(self.path, 'user.note'))

    def test_changed_meanwhile(self):
        for data in (b'OLD', b'longer', b''):
            self.write(data)
            self.assertIs(False, self.replace())
            self.assertEqual(data, self.read())
        self.assertEqual(['shadow'], os.listdir(self.directory))

    def test_other_names_of_the_file_keep_theirs(self):
        other = os.path.join(self.directory, 'other')
        os.link(self.path, other)
        self.replace()
        self.assertEqual(b'old', self.read(name='other'))

    def test_too_large(self):
        self.write(b'x' * 10)
        self.assertEqual(b'x' * 10, self.read())
        self.write(b'x' * 11)
        self.assertRaises(ValueError, self.read)

    def test_not_a_file(self):
        os.unlink(self.path)
        self.assertRaises(FileNotFoundError, self.read)
        os.mkfifo(self.path)
        self.assertRaises(ValueError, self.read)
        self.assertRaises(ValueError, self.replace)
        os.unlink(self.path)
        os.mkdir(self.path)
        self.assertRaises(ValueError, self.read)
        os.rmdir(self.path)
        os.symlink('/etc/passwd', self.path)
        self.assertRaises(ValueError, self.read)
        self.assertRaises(ValueError, self.replace)

    def test_links_to_the_directory_are_followed(self):
        link = os.path.join(self.directory, 'link')
        os.symlink('../../../../../../../..' + self.directory, link)
        self.assertEqual(b'old', self.read(link))

    def test_magic_links_are_not(self):
        link = os.path.join(self.directory, 'link')
        os.symlink(f'/proc/{os.getpid()}/root{self.directory}', link)
        self.assertRaises(OSError, self.read, link)
        self.assertRaises(OSError, self.read,
                          f'/proc/{os.getpid()}/root{self.directory}')

    def test_lease(self):
        """The guest can not make the host wait."""
        with open(self.path) as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            self.assertIs(True, self.replace())
        self.addCleanup(signal.signal, signal.SIGIO,
                        signal.signal(signal.SIGIO, signal.SIG_IGN))
        descriptor = os.open(self.path, os.O_WRONLY)
        self.addCleanup(os.close, descriptor)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        self.assertRaises(BlockingIOError, self.read)

    def test_another_process(self):
        self.assertRaises(ProcessLookupError, self.read, container='c0ffee')

    def test_no_process(self):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        self.assertRaises(ProcessLookupError, self.read, pid=child)

    def test_no_room(self):
        os.chmod(self.directory, 0o500)
        self.addCleanup(os.chmod, self.directory, 0o700)
        self.useFixture(fixtures.MockPatchObject(
            os, 'rename', side_effect=OSError(28, 'no space')))
        self.assertRaises(OSError, self.replace)
        self.assertEqual(['shadow'], os.listdir(self.directory))
        self.assertEqual(b'old', self.read())
