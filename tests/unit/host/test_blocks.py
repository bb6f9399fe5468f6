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
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.host import blocks


class BlocksTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.root = self.useFixture(fixtures.TempDir()).path

    def write(self, path, text=''):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)


class DiskOfTest(BlocksTestCase):

    def setUp(self):
        super().setUp()
        self.write('sys/devices/sda/dev', '8:0\n')
        self.write('sys/devices/sda/sda1/dev', '8:1\n')
        self.write('sys/devices/sda/sda1/partition', '1\n')
        os.makedirs(os.path.join(self.root, 'sys/dev/block'))
        for number, path in (('8:0', 'sda'), ('8:1', 'sda/sda1')):
            os.symlink(f'../../devices/{path}', os.path.join(
                self.root, 'sys/dev/block', number))
        #: By path, st_dev and st_rdev.
        self.status = {}
        self.useFixture(fixtures.MonkeyPatch('os.stat', self.stat))

    def stat(self, path, **kwargs):
        if path not in self.status:
            return self.original(path, **kwargs)
        device, number = self.status[path]
        return mock.Mock(st_dev=os.makedev(*device),
                         st_rdev=os.makedev(*number))

    original = staticmethod(os.stat)

    def disk_of(self, path):
        return blocks.disk_of(path, os.path.join(self.root, 'proc'),
                              os.path.join(self.root, 'sys'))

    def test_whole_disk(self):
        self.status['/data'] = (8, 0), (0, 0)
        self.assertEqual((8, 0), self.disk_of('/data'))

    def test_partition(self):
        self.status['/data'] = (8, 1), (0, 0)
        self.assertEqual((8, 0), self.disk_of('/data'))

    def test_what_is_mounted(self):
        self.write('proc/self/mountinfo', """\
1 0 8:9 / / rw - ext4 /dev/other rw
2 1 0:40 /sub /data rw,relatime shared:1 - btrfs /dev/sda1 rw
3 1 0:41 / /data2 rw - tmpfs tmpfs rw
""")
        self.status |= {'/data/docker': ((0, 41), (0, 0)),
                        '/dev/sda1': ((0, 5), (8, 1))}
        self.assertEqual((8, 0), self.disk_of('/data/docker'))

    def test_no_block_device(self):
        self.write('proc/self/mountinfo',
                   '1 0 0:40 / / rw - zfs /pool rw\n')
        self.status |= {'/data': ((0, 41), (0, 0)),
                        '/pool': ((0, 41), (0, 0))}
        self.assertRaises(OSError, self.disk_of, '/data')


class LoopOfTest(BlocksTestCase):

    def loop_of(self, image):
        return blocks.loop_of(image, self.root)

    def test_of_its_file(self):
        for number in range(3):
            self.write(f'block/loop{number}/loop/backing_file',
                       f'/disks/{number}\n')
            self.write(f'block/loop{number}/dev', f'7:{number}\n')
        self.assertEqual((7, 1), self.loop_of('/disks/1'))
        error = self.assertRaises(OSError, self.loop_of, '/disks/9')
        self.assertIn('/disks/9', str(error))
