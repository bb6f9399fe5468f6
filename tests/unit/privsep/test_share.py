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


"""Without root; with it: tests/integration/volume/test_share.py."""

import os

import fixtures
from oslo_concurrency import processutils
from oslotest import base
import tenacity

from nova_docker.privsep import mounts
from nova_docker.privsep import program
from nova_docker.privsep import share
from tests.fixtures import privsep


class ShareTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.useFixture(fixtures.MockPatchObject(
            tenacity, 'wait_fixed', return_value=tenacity.wait_none()))
        self.folder = os.path.realpath(
            self.useFixture(fixtures.TempDir()).path)
        self.place = os.path.join(self.folder, 'instance', 'share')
        #: What is mounted, to the kernel.
        self.mounted = []
        self.failures = {}
        self.secrets = []
        self.commands = []
        self.useFixture(fixtures.MockPatchObject(
            mounts, '_all', autospec=True,
            side_effect=lambda: [('0:50', path) for path in self.mounted]))
        self.useFixture(fixtures.MockPatchObject(
            program, 'run', autospec=True, side_effect=self.run_program))

    def run_program(self, *command, timeout):
        self.assertEqual(('timeout', '--signal=KILL', '7'), command[:3])
        self.assertGreater(timeout, 7)
        self.commands.append(command[3:])
        name = command[3]
        for option in ' '.join(command).split(','):
            if option.startswith('secretfile='):
                path = option.removeprefix('secretfile=').split()[0]
                self.assertEqual(0o600, os.stat(path).st_mode & 0o777)
                with open(path) as file:
                    self.secrets.append(file.read())
        failures = self.failures.get(name)
        if failures:
            failure = failures.pop(0)
            if failure:
                raise processutils.ProcessExecutionError(exit_code=failure)
        if name == 'mount':
            self.mounted.append(self.place)
        elif name == 'umount':
            self.mounted.remove(self.place)

    def mount(self, secret=''):
        share.mount('nfs', 'nas:/x', self.place, ['nosuid', 'nodev'], secret,
                    7)

    def unmount(self):
        share.unmount(self.place, 7)

    def names(self):
        return [command[0] for command in self.commands]

    def test_mount(self):
        self.mount()
        self.assertEqual([('mount', '-t', 'nfs', '-o', 'nosuid,nodev', '--',
                           'nas:/x', self.place)], self.commands)
        self.assertEqual(0o700, os.stat(self.place).st_mode & 0o777)

    def test_secret(self):
        self.mount('s3cret')
        self.assertEqual(['s3cret'], self.secrets)
        self.assertNotIn('s3cret', str(self.commands))
        # Nothing is left of it.
        self.assertEqual(['share'], os.listdir(os.path.dirname(self.place)))

    def test_secret_that_was_left(self):
        os.makedirs(self.place)
        left = f'{self.place}.secret'
        for then in (lambda: self.mount('s3cret'), self.unmount):
            with open(left, 'w') as file:
                file.write('earlier')
            then()
            self.assertFalse(os.path.exists(left))
        self.assertEqual(['s3cret'], self.secrets)

    def test_mounted_already(self):
        self.mount()
        self.mount()
        self.assertEqual(['mount', 'stat'], self.names())
        self.failures['stat'] = [-9]
        self.assertRaises(TimeoutError, self.mount)
        # A container may have it.
        self.assertEqual([self.place], self.mounted)

    def test_mount_fails(self):
        for code, error in ((32, processutils.ProcessExecutionError),
                            (-9, TimeoutError)):
            self.failures['mount'] = [code]
            self.assertRaises(error, self.mount, 's3cret')
            self.assertEqual([], os.listdir(self.folder))

    def test_mount_that_came_too_late(self):
        def late():
            self.mounted.append(self.place)
            return -9
        self.failures['mount'] = _Late(late)
        self.assertRaises(TimeoutError, self.mount)
        self.assertEqual([], self.mounted)
        self.assertEqual(('umount', '--lazy'), self.commands[-1][:2])

    def test_unmount(self):
        self.mount()
        self.unmount()
        self.unmount()
        self.assertEqual(['mount', 'umount'], self.names())
        self.assertEqual([], os.listdir(self.folder))

    def test_in_use(self):
        self.mount()
        self.failures['umount'] = [32] * mounts.TRIES
        self.assertRaises(processutils.ProcessExecutionError, self.unmount)
        self.assertEqual([self.place], self.mounted)
        # Somebody looked at it for a moment.
        self.failures['umount'] = [32, 32]
        self.unmount()
        self.assertEqual([], self.mounted)

    def test_storage_is_gone(self):
        self.mount()
        self.failures['umount'] = [-9]
        self.unmount()
        self.assertEqual(('umount', '--lazy'), self.commands[-1][:2])
        self.assertEqual([], self.mounted)
        self.assertEqual([], os.listdir(self.folder))

    def test_what_is_mounted(self):
        self.mounted = ['/', self.folder + 'x', self.place]
        self.assertEqual([self.place], share.mounted(self.folder))
        self.assertEqual([], share.mounted('/absent'))


class _Late:
    """A failure that does something first."""

    def __init__(self, act):
        self.act = act

    def pop(self, _first):
        return self.act()
