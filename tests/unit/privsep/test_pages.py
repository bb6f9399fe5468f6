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

from oslotest import base

from nova_docker.privsep import pages
from tests.fixtures import privsep


class LimitTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        group = self.useFixture(privsep.ControlGroup())
        self.directory, self.find = group.directory, group.find

    def limit(self, is_first, names):
        self.find.return_value = self.directory, is_first
        for name in names:
            with open(os.path.join(self.directory, name), 'w'):
                pass
        pages.limit(12, 'c', [[64, 0], [2048, 1 << 20], [1048576, 0]])
        found = {}
        for name in os.listdir(self.directory):
            with open(os.path.join(self.directory, name)) as file:
                found[name] = file.read()
        return found

    def test_version_1(self):
        names = ('hugetlb.64KB.limit_in_bytes', 'hugetlb.2MB.limit_in_bytes',
                 'hugetlb.1GB.limit_in_bytes')
        self.assertEqual(dict(zip(names, ('0', '1048576', '0'))),
                         self.limit(True, names))

    def test_version_2(self):
        names = ('hugetlb.64KB.max', 'hugetlb.2MB.max', 'hugetlb.1GB.max',
                 'hugetlb.2MB.rsvd.max')
        self.assertEqual(
            dict(zip(names, ('0', '1048576', '0', '1048576'))),
            self.limit(False, names))

    def test_no_controller(self):
        self.assertRaises(FileNotFoundError, self.limit, False, ())
        self.assertEqual([], os.listdir(self.directory))
