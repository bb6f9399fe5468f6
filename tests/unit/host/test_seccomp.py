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

from nova_docker.host import seccomp


class ReadTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        with open(os.path.join(self.directory, 'mine.json'), 'w') as file:
            file.write('{"defaultAction":\n "SCMP_ACT_ALLOW"}')

    def test_read(self):
        self.assertEqual('{"defaultAction": "SCMP_ACT_ALLOW"}',
                         seccomp.read(self.directory, 'mine'))

    def test_none(self):
        self.assertRaises(FileNotFoundError, seccomp.read, self.directory,
                          'other')

    def test_no_json(self):
        with open(os.path.join(self.directory, 'bad.json'), 'w') as file:
            file.write('{')
        self.assertRaises(ValueError, seccomp.read, self.directory, 'bad')
