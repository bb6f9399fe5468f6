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

from oslotest import base

from nova_docker.privsep import throttle
from tests.fixtures import privsep

NAMES = ('read_bps', 'write_bps', 'read_iops', 'write_iops')


class LimitTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        group = self.useFixture(privsep.ControlGroup())
        self.directory, self.find = group.directory, group.find

    def make(self, name):
        with open(os.path.join(self.directory, name), 'w'):
            pass

    def read(self, name):
        with open(os.path.join(self.directory, name)) as file:
            return file.read()

    def test_version_1(self):
        self.find.return_value = self.directory, True
        for name in NAMES:
            self.make(f'blkio.throttle.{name}_device')
        throttle.limit(12, 'c', 8, 16, [1, 2, 3, 0])
        self.assertEqual(
            ['8:16 1', '8:16 2', '8:16 3', '8:16 0'],
            [self.read(f'blkio.throttle.{name}_device') for name in NAMES])
        self.assertEqual(
            [mock.call(12, 'c', controller='blkio')],
            self.find.call_args_list)

    def test_version_2(self):
        self.find.return_value = self.directory, False
        self.make('io.max')
        throttle.limit(12, 'c', 8, 16, [1, 0, 0, 4])
        self.assertEqual('8:16 rbps=1 wbps=max riops=max wiops=4',
                         self.read('io.max'))

    def test_no_controller(self):
        for version in (True, False):
            self.find.return_value = self.directory, version
            self.assertRaises(FileNotFoundError, throttle.limit, 12, 'c', 8,
                              16, [1, 0, 0, 0])
        self.assertEqual([], os.listdir(self.directory))
