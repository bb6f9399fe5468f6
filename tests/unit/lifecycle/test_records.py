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

"""What is kept of volumes."""

import dataclasses
import os
import stat

import fixtures
from oslotest import base

from nova_docker.lifecycle import records
from nova_docker.network import plans
from nova_docker.spec import volumes


def volume(name, device='/dev/vdb'):
    return volumes.Volume(name, device, {'data': {}}, {})


class RecordsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path

    def known(self, instance='i'):
        return [each.id for each in records.read(self.directory, instance)]

    def test_none(self):
        self.assertEqual([], self.known())
        self.assertIsNone(records.find(self.directory, 'i', 'a'))
        records.drop(self.directory, 'i', 'a')
        self.assertEqual(set(), plans.instances(self.directory))

    def test_in_order(self):
        for name in ('a', 'b', 'c'):
            records.put(self.directory, 'i', volume(name))
        records.put(self.directory, 'i', volume('b', '/dev/vdx'))
        self.assertEqual(['a', 'b', 'c'], self.known())
        self.assertEqual('/dev/vdx',
                         records.find(self.directory, 'i', 'b').device)
        records.drop(self.directory, 'i', 'b')
        self.assertEqual(['a', 'c'], self.known())

    def test_swap(self):
        for name in ('a', 'b', 'c'):
            records.put(self.directory, 'i', volume(name))
        new = dataclasses.replace(volume('c'), replaced='z')
        records.swap(self.directory, 'i', volume('a'), new)
        self.assertEqual(['c', 'b', 'a'], self.known())
        self.assertEqual(new, records.called(self.directory, 'i', 'z'))
        self.assertEqual(new, records.called(self.directory, 'i', 'c'))
        # One that has that id comes first.
        records.put(self.directory, 'i', volume('z'))
        self.assertEqual(volume('z'),
                         records.called(self.directory, 'i', 'z'))
        self.assertIsNone(records.called(self.directory, 'i', 'y'))

    def test_others(self):
        for instance, name in (('i', 'a'), ('j', 'b'), ('k', 'c')):
            records.put(self.directory, instance, volume(name))
        self.assertEqual({'b', 'c'}, {
            each.id for each in records.others(self.directory, 'i')})

    def test_closed_to_others(self):
        records.put(self.directory, 'i', volume('a'))
        for path in ('instances', 'instances/i'):
            self.assertEqual(0o700, stat.S_IMODE(os.stat(
                os.path.join(self.directory, path)).st_mode))

    def test_no_file_without_volumes(self):
        records.put(self.directory, 'i', volume('a'))
        records.drop(self.directory, 'i', 'a')
        self.assertNotIn('volumes.json', os.listdir(
            plans.instance_dir(self.directory, 'i')))
