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

"""Archives that root packs and unpacks, also of those who mean harm."""

import io
import os
import stat
import subprocess
import tarfile

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import archive
from nova_docker.privsep import layer
from tests.fixtures import privsep


class ArchiveTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.source, self.target, self.outside = (
            self.useFixture(fixtures.TempDir()).path for _each in range(3))
        self.file = self.useFixture(fixtures.TempDir()).join('file')


class WholeTest(ArchiveTestCase):

    def test_copy(self):
        path = os.path.join(self.source, 'file')
        with open(path, 'wb') as file:
            file.truncate(100 << 20)
        capability = bytes.fromhex('0100000200200000000000000000000000000000')
        for name, value in (('user.kept', b'1'), ('trusted.kept', b'2'),
                            ('security.capability', capability)):
            os.setxattr(path, name, value)
        # Of a user who has a name on this host, and no access.
        access = bytes.fromhex(
            '02000000' '01000700ffffffff' '0200000001000000'
            '04000100ffffffff' '10000100ffffffff' '20000100ffffffff')
        os.chmod(path, 0o4711)
        os.setxattr(path, 'system.posix_acl_access', access)
        os.link(path, os.path.join(self.source, 'other'))
        os.mkdir(os.path.join(self.source, 'opaque'))
        for name in 'opaque', 'origin':
            os.setxattr(os.path.join(self.source, 'opaque'),
                        f'trusted.overlay.{name}', b'y')
        os.mknod(os.path.join(self.source, 'deleted'), stat.S_IFCHR, 0)
        os.mkdir(os.path.join(self.target, 'old'))
        layer.copy(self.source, self.target, os.getpid())
        self.assertEqual({'file', 'other', 'opaque', 'deleted'},
                         set(os.listdir(self.target)))
        copied = os.path.join(self.target, 'file')
        found = os.stat(copied)
        self.assertEqual((0o4711, 2, 100 << 20), (
            stat.S_IMODE(found.st_mode), found.st_nlink, found.st_size))
        self.assertLess(found.st_blocks, 100)
        self.assertEqual(capability, os.getxattr(
            copied, 'security.capability'))
        self.assertEqual(access, os.getxattr(
            copied, 'system.posix_acl_access'))
        self.assertEqual({'user.kept', 'trusted.kept', 'security.capability',
                          'system.posix_acl_access'},
                         set(os.listxattr(copied)))
        self.assertEqual(['trusted.overlay.opaque'], os.listxattr(
            os.path.join(self.target, 'opaque')))
        deleted = os.lstat(os.path.join(self.target, 'deleted'))
        self.assertEqual((True, 0), (
            stat.S_ISCHR(deleted.st_mode), deleted.st_rdev))


class HostileTest(ArchiveTestCase):
    """Nothing outside of the directory is touched, or is in it."""

    def unpack(self, *members):
        with open(os.path.join(self.outside, 'secret'), 'w') as file:
            file.write('secret')
        with tarfile.open(self.file, 'w') as made:
            for name, kind, link in members:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, link
                member.mode = 0o777
                data = b'evil' if kind == tarfile.REGTYPE else b''
                member.size = len(data)
                made.addfile(member, io.BytesIO(data))
        try:
            archive.unpack(self.file, self.target, os.getpid())
        except processutils.ProcessExecutionError:
            pass
        self.assertEqual(['secret'], os.listdir(self.outside))
        path = os.path.join(self.outside, 'secret')
        with open(path) as file:
            self.assertEqual('secret', file.read())
        found = os.stat(path)
        self.assertEqual((1, False), (
            found.st_nlink, stat.S_IMODE(found.st_mode) == 0o777))
        with open('/proc/self/mounts') as mounts:
            self.assertNotIn(self.target, mounts.read())

    def test_names(self):
        up = '../' * 20
        for name in (f'{self.outside}/file', f'{up}{self.outside[1:]}/file',
                     f'a/{up}{self.outside[1:]}/secret'):
            self.target = self.useFixture(fixtures.TempDir()).path
            self.unpack((name, tarfile.REGTYPE, ''))

    def test_through_symbolic_links(self):
        up = '../' * 20
        for link in self.outside, f'{up}{self.outside[1:]}':
            self.target = self.useFixture(fixtures.TempDir()).path
            self.unpack(('out', tarfile.SYMTYPE, link),
                        ('out/file', tarfile.REGTYPE, ''),
                        ('out/secret', tarfile.REGTYPE, ''),
                        ('out', tarfile.DIRTYPE, ''))

    def test_hard_links(self):
        for link in (f'{self.outside}/secret', 'out/secret',
                     '../../../usr/bin/tar'):
            self.target = self.useFixture(fixtures.TempDir()).path
            self.unpack(('out', tarfile.SYMTYPE, self.outside),
                        ('hard', tarfile.LNKTYPE, link),
                        ('hard', tarfile.REGTYPE, ''))

    def test_damaged(self):
        for data in b'no archive', bytes(512) + b'x' * 512:
            with open(self.file, 'wb') as file:
                file.write(data)
            self.assertRaises(processutils.ProcessExecutionError,
                              archive.unpack, self.file, self.target,
                              os.getpid())


class CallerTest(ArchiveTestCase):

    def test_ends_with_who_wants_it(self):
        """What starts in its place must not find its files changed."""
        caller = subprocess.Popen(['sleep', '1000'])
        self.addCleanup(caller.wait)
        self.addCleanup(caller.kill)
        # The archive never ends.
        reading, writing = os.pipe()
        self.addCleanup(os.close, writing)
        with open(reading, 'rb') as file:
            caller.kill()
            self.assertRaises(
                processutils.ProcessExecutionError, archive._extract,
                self.target, file, caller.pid)
