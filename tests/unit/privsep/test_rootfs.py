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

import fixtures
from oslotest import base

from nova_docker.privsep import program
from nova_docker.privsep import rootfs
from tests.fixtures import privsep


class RootfsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.folder = self.useFixture(fixtures.TempDir()).path

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_directories_only(self):
        os.mkdir(self.path('diff'))
        os.symlink(self.path('diff'), self.path('link'))
        self.assertTrue(rootfs.are_directories([self.path('diff')]))
        for name in ('link', 'absent'):
            self.assertFalse(rootfs.are_directories(
                [self.path('diff'), self.path(name)]), name)

    def test_short_names(self):
        with open(self.path('lower'), 'w') as lower:
            lower.write('l/ABC:l/DEF')
        self.assertEqual(['l/ABC', 'l/DEF'], rootfs.short_names(self.folder))
        os.unlink(self.path('lower'))
        self.assertRaises(OSError, rootfs.short_names, self.folder)

    def test_snapshot_mounts(self):
        run = self.useFixture(fixtures.MockPatchObject(
            program, 'run', autospec=True,
            return_value='mount -t overlay overlay /mnt -o x\n')).mock
        self.assertIn('-o x', rootfs.snapshot_mounts('/c.sock', 'moby', 'id'))
        command = run.call_args.args
        self.assertEqual(('ctr', '--address', '/c.sock'), command[:3])
        self.assertEqual('id', command[-1])
