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

from nova_docker.host import lxcfs


class MountsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        os.mkdir(os.path.join(self.directory, 'proc'))
        for name in ('meminfo', 'cpuinfo', 'other'):
            with open(os.path.join(self.directory, 'proc', name), 'w'):
                pass

    def test_what_it_has(self):
        with mock.patch.object(os.path, 'ismount', autospec=True,
                               return_value=True) as ismount:
            found = lxcfs.mounts(self.directory)
        ismount.assert_called_once_with(self.directory)
        self.assertEqual(
            {'/proc/meminfo': f'{self.directory}/proc/meminfo',
             '/proc/cpuinfo': f'{self.directory}/proc/cpuinfo'},
            {mount['containerPath']: mount['hostPath'] for mount in found})
        for mount in found:
            self.assertIn('ro', mount['options'])

    def test_it_does_not_run(self):
        for directory in (self.directory, '/nowhere', ''):
            self.assertEqual([], lxcfs.mounts(directory))
