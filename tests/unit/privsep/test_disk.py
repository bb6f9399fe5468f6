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

"""What needs no root; tests/integration/volume has the rest."""

import os
import pathlib
import subprocess

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import disk
from nova_docker.privsep import mounts
from tests.fixtures import privsep


class DiskTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path).resolve()
        self.image = str(self.folder / 'uuid' / 'root-c')

    def patch(self, name, **kwargs):
        return self.useFixture(fixtures.MockPatchObject(
            disk, name, autospec=True, **kwargs)).mock

    def listed(self):
        return sorted(os.listdir(self.folder / 'uuid'))

    def test_make(self):
        source = self.folder / 'source'
        (source / 'diff').mkdir(parents=True)
        (source / 'link').write_text('l')
        disk.make(self.image, 16 << 20, str(source), False)
        self.assertEqual(['root-c'], self.listed())
        self.assertEqual(16 << 20, disk.size(self.image))
        self.assertEqual(0o600, os.stat(self.image).st_mode & 0o777)
        self.assertLess(os.stat(self.image).st_blocks * 512, 8 << 20)
        found = subprocess.run(
            ['debugfs', '-R', 'ls -p /', self.image], check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        self.assertIn('/diff/', found)
        self.assertIn('/link/', found)

    def test_make_reserves_its_space(self):
        disk.make(self.image, 16 << 20, None, True)
        self.assertGreaterEqual(os.stat(self.image).st_blocks * 512, 16 << 20)

    def test_make_keeps_what_is_there(self):
        os.mkdir(self.folder / 'uuid')
        pathlib.Path(self.image).write_text('data')
        disk.make(self.image, 16 << 20, None, False)
        self.assertEqual('data', pathlib.Path(self.image).read_text())

    def test_make_after_one_that_was_killed(self):
        os.mkdir(self.folder / 'uuid')
        pathlib.Path(f'{self.image}.tmp').write_text('half')
        disk.make(self.image, 16 << 20, None, False)
        self.assertEqual(['root-c'], self.listed())

    def test_make_fails(self):
        self.assertRaises(processutils.ProcessExecutionError, disk.make,
                          self.image, 16 << 20, '/absent', False)
        self.assertEqual([], self.listed())

    def test_prepare(self):
        for _again in range(2):
            directory = disk.prepare(self.image)
            self.assertEqual(['data'], os.listdir(directory))
        disk.make(self.image, 16 << 20, directory, False)
        disk.remove(self.image)
        self.assertEqual([], os.listdir(self.folder))

    def test_images(self):
        self.assertEqual([], disk.images(str(self.folder)))
        os.makedirs(f'{self.image}.mnt')
        pathlib.Path(self.image).touch()
        pathlib.Path(f'{self.folder}/uuid/root-d.tmp').touch()
        self.assertEqual([self.image, f'{self.folder}/uuid/root-d'],
                         disk.images(str(self.folder)))

    def test_remove(self):
        os.makedirs(f'{self.image}.mnt')
        for path in (self.image, f'{self.image}.tmp'):
            pathlib.Path(path).touch()
        for _again in range(2):
            disk.remove(self.image)
            self.assertEqual([], os.listdir(self.folder))

    def test_is_mounted(self):
        self.patch('_devices', return_value=['/dev/loop3'])
        disk.make(self.image, 16 << 20, None, False)
        mounted = self.useFixture(fixtures.MockPatchObject(
            mounts, 'of', autospec=True)).mock
        for paths, expected in (
                ([], False), ([f'{self.image}.mnt'], False),
                ([f'{self.image}.mnt', '/c'], True)):
            mounted.return_value = paths
            self.assertEqual(expected, disk.is_mounted(self.image))
            self.assertEqual(expected,
                             disk.is_mounted(self.image, 16 << 20))
            self.assertFalse(disk.is_mounted(self.image, 17 << 20))

    def test_not_mounted(self):
        self.assertFalse(disk.is_mounted(self.image))
