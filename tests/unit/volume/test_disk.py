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

import fixtures
from nova import exception
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.volume import disk
from nova_docker.volume import rootfs
from tests.fixtures import disks
from tests.fixtures import engine

IMAGE = '/disks/uuid/root-c'


class DiskTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.steps = []
        self.disks = self.useFixture(disks.Disks(self.steps))
        self.directory = self.useFixture(fixtures.MockPatchObject(
            rootfs, 'directory', autospec=True,
            return_value=('/layers/c', ['diff', 'work']))).mock

    def make(self, reserve=False):
        disk.make(self.engine, IMAGE, 'c', 1 << 30, reserve)

    def mount(self, size=1 << 30):
        disk.mount(self.engine, IMAGE, 'c', size, False)

    def test_path(self):
        path = disk.path('/disks', 'uuid', 'c')
        self.assertEqual(IMAGE, path)
        self.disks.sizes = {path: 1, '/disks/uuid/other': 1}
        self.assertEqual([('uuid', '/disks/uuid/other'), ('uuid', IMAGE)],
                         disk.images('/disks'))

    def test_make(self):
        for _again in range(2):
            self.make()
        self.assertEqual({IMAGE: '/layers/c'}, self.disks.mounted)
        self.assertEqual({IMAGE: 1 << 30}, self.disks.sizes)
        self.assertEqual(1, [name for name, _ in self.steps].count(
            'disk_attach'))
        self.assertTrue(disk.mounted(IMAGE))

    def test_space_that_is_reserved_is_not_given_back(self):
        for reserve in (False, True):
            self.disks.mounted.clear()
            self.make(reserve)
            self.assertEqual(not reserve, dict(self.steps)['disk_attach'][-1])

    def test_ephemeral(self):
        image, other = disk.ephemeral_paths('/disks', 'uuid', 'm', 2)
        self.assertNotEqual(image, other)
        for _again in range(2):
            disk.make_ephemeral(image, 1 << 30, False)
        self.disks.mounted.clear()
        for _again in range(2):
            disk.mount_ephemeral(image, False)
        self.assertEqual({image: f'{image}.fs'}, self.disks.mounted)
        self.assertEqual({image: 1 << 30}, self.disks.sizes)
        mount = disk.ephemeral_mount(image, '/mnt/e')
        # Without the mount there is no such directory.
        self.assertEqual((f'{image}.fs/data', '/mnt/e'),
                         (mount['hostPath'], mount['containerPath']))
        self.assertLessEqual({'nosuid', 'nodev'}, set(mount['options']))

    def test_ephemeral_fails(self):
        self.disks.fail_next('make', OSError('no space'))
        self.assertRaises(exception.ComputeResourcesUnavailable,
                          disk.make_ephemeral, IMAGE, 1, False)
        self.disks.fail_next('attach', OSError('gone'))
        self.assertRaises(exception.InternalError,
                          disk.mount_ephemeral, IMAGE, False)

    def test_cannot_be_made(self):
        for step in ('make', 'attach'):
            for error in (OSError('no space'),
                          processutils.ProcessExecutionError('no space')):
                self.disks.fail_next(step, error)
                found = self.assertRaises(
                    exception.ComputeResourcesUnavailable, self.make)
                self.assertIn('no space', found.format_message())

    def test_mounted_already(self):
        self.make()
        self.directory.reset_mock()
        self.mount()
        # The container may be starting: then the engine does not answer.
        self.directory.assert_not_called()

    def test_unmounted_by_somebody(self):
        self.make()
        self.disks.mounted.clear()
        self.mount()
        self.assertTrue(disk.mounted(IMAGE))

    def test_grows(self):
        self.make()
        self.mount(2 << 30)
        self.assertEqual({IMAGE: 2 << 30}, self.disks.sizes)
        self.mount()
        self.assertEqual({IMAGE: 2 << 30}, self.disks.sizes)

    def test_cannot_be_mounted(self):
        self.assertIn(IMAGE, str(self.assertRaises(
            exception.InternalError, self.mount)))
        self.make()
        self.disks.mounted.clear()
        self.disks.fail_next('attach', NotADirectoryError('diff'))
        self.assertIn('diff', str(self.assertRaises(
            exception.InternalError, self.mount)))

    def test_remove(self):
        self.make()
        self.disks.fail_next('remove', OSError('busy'))
        self.assertRaises(exception.InternalError, disk.remove, IMAGE)
        disk.remove(IMAGE)
        self.assertEqual({}, self.disks.sizes)
        self.assertFalse(disk.mounted(IMAGE))
