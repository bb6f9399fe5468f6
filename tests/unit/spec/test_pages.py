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


from nova import objects
from oslotest import base

from nova_docker.spec import names
from nova_docker.spec import pages


def topology(*cells):
    return objects.InstanceNUMATopology(cells=[
        objects.InstanceNUMACell(
            id=number, cpuset=set(), pcpuset=set(), memory=memory,
            pagesize=size) for number, (memory, size) in enumerate(cells)])


class PagesTest(base.BaseTestCase):

    def test_half_of_them(self):
        self.assertEqual({2048: 48, 1048576: 1024}, pages.of(topology(
            (64, 2048), (32, 2048), (64, 4), (64, None), (2048, 1048576)), 4))

    def test_whole_pages(self):
        self.assertEqual({2048: 32}, pages.of(topology((66, 2048)), 4))
        self.assertEqual({64: 33}, pages.of(topology((66, 64)), 4))
        for size, part in ((1048576, None), (2048, 1)):
            error = self.assertRaises(ValueError, pages.of, topology(
                (1024, size)), 4, part)
            self.assertIn('page', str(error))

    def test_as_many_as_the_flavor_says(self):
        self.assertEqual({2048: 10}, pages.of(topology((64, 2048)), 4, 11))
        self.assertEqual({2048: 64}, pages.of(topology((64, 2048)), 4, 64))
        for claimed in (topology((64, 2048)), topology((99, 4)), None):
            self.assertRaises(ValueError, pages.of, claimed, 4, 65)

    def test_none(self):
        self.assertEqual({}, pages.of(None, 4))
        self.assertEqual({}, pages.of(topology((64, 4)), 4))
        self.assertEqual({}, pages.of(topology((64, 64)), 64))

    def test_mounts(self):
        self.assertEqual([], pages.mounts({}))
        mount, = pages.mounts({2048: 64})
        self.assertEqual(('hugetlbfs', '/dev/hugepages-2048kB'),
                         (mount['type'], mount['containerPath']))
        self.assertLessEqual({'pagesize=2048K', 'size=64M', 'nosuid'},
                             set(mount['options']))

    def test_label(self):
        for found in ({}, {2048: 64}, {2048: 1, 1048576: 2}):
            self.assertEqual(found, names.pages(names.pages_label(found)))
