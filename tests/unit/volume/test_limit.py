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

import os
import pathlib

import fixtures
from oslotest import base

from nova_docker import exception
from nova_docker.volume import limit
from tests.fixtures import disks
from tests.fixtures import engine


class DetectTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=20))
        self.steps = []
        self.disks = self.useFixture(disks.Disks(self.steps))
        self.engine = engine.FakeEngine()
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.engine.details |= {'DockerRootDir': self.folder,
                                'Driver': 'overlay2'}
        (pathlib.Path(self.folder) / 'self').mkdir()
        self.backing('extfs', 'rw')

    def backing(self, name, options):
        """Let the engine's data be on such a file system."""
        self.engine.details['DriverStatus'] = [['Backing Filesystem', name]]
        device = os.stat(self.folder).st_dev
        number = f'{os.major(device)}:{os.minor(device)}'
        pathlib.Path(self.folder, 'self/mountinfo').write_text(
            '20 1 0:99 / /other rw - xfs /dev/x rw,prjquota\n'
            f'21 1 {number} / / rw shared:1 - {name} /dev/y {options}\n')

    def detect(self, wanted=None):
        return limit.detect(self.engine, wanted, '/disks', self.folder)

    def refused(self, *words, wanted=None):
        error = self.assertRaises(exception.HostUnusable, self.detect, wanted)
        for word in (*words, 'root_disk = unlimited'):
            self.assertIn(word, str(error))

    def test_file_systems(self):
        self.assertEqual('filesystem', self.detect())
        self.assertIn('filesystem', self.log.output)
        self.assertEqual([('disk_probe', ('/disks',))], self.steps)

    def test_project_quotas(self):
        self.backing('xfs', 'rw,attr2,inode64,prjquota')
        self.assertEqual('engine', self.detect())
        self.assertEqual([], self.steps)
        self.assertEqual('filesystem', self.detect('filesystem'))

    def test_xfs_without_project_quotas(self):
        for options in ('rw,attr2,noquota', 'rw,usrquota', 'rw'):
            self.backing('xfs', options)
            self.assertEqual('filesystem', self.detect())
            self.refused('pquota', wanted='engine')

    def test_project_quotas_of_another_file_system(self):
        self.backing('extfs', 'rw,prjquota')
        self.assertEqual('filesystem', self.detect())

    def test_storage_drivers_with_sizes(self):
        for driver in ('btrfs', 'zfs'):
            self.engine.details['Driver'] = driver
            self.assertEqual('engine', self.detect())
            self.refused(driver, wanted='filesystem')

    def test_containerd_store(self):
        self.engine.details['Driver'] = 'overlayfs'
        self.backing('xfs', 'rw,prjquota')
        which = self.useFixture(fixtures.MockPatchObject(
            limit.shutil, 'which', return_value='/bin/ctr')).mock
        self.assertEqual('filesystem', self.detect())
        self.refused('overlayfs', wanted='engine')
        which.return_value = None
        self.refused('no ctr')

    def test_neither(self):
        self.engine.details['Driver'] = 'vfs'
        self.refused('vfs of the engine', 'storage driver vfs')
        self.engine.details['Driver'] = 'overlay2'
        self.disks.fail_next('probe', OSError('no loop devices'))
        self.refused('no loop devices', '/disks', 'pquota')

    def test_unlimited(self):
        self.engine.details['Driver'] = 'vfs'
        self.assertEqual('unlimited', self.detect('unlimited'))
        self.assertIn('can fill the disk', self.log.output)
        self.assertEqual([], self.steps)
