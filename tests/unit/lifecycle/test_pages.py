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


"""The huge pages of instances."""

import errno
import json
import os

from nova import exception
from nova import objects

from nova_docker.host import numa
from nova_docker.privsep import pages as privileged
from nova_docker.spec import names
from tests.unit.lifecycle import base


class PagesTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.compute.pages.return_value = {2048: 99, 1048576: 0}
        self.limits_pages = self.compute._patch(
            numa, 'limits_pages', return_value=True)
        self.limit = self.compute._patch(privileged, 'limit')

    def claim(self):
        self.instance.numa_topology = objects.InstanceNUMATopology(cells=[
            objects.InstanceNUMACell(
                id=0, cpuset={0}, pcpuset=set(), memory=64, pagesize=2048,
                cpu_pinning=None)])

    @property
    def limits(self):
        return self.limit.call_args.args[2]

    @property
    def mounts(self):
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                self.instance.uuid))) as file:
            edits = json.load(file)['devices'][0]['containerEdits']
        return [mount for mount in edits.get('mounts', ())
                if mount.get('type') == 'hugetlbfs']

    def test_claimed(self):
        self.claim()
        self.spawn()
        self.assertEqual([[2048, 32 << 20], [1048576, 0]], self.limits)
        self.assertEqual(1, len(self.mounts))

    def memory(self):
        config = self.engine.inspect_container(
            self.container['Id'])['HostConfig']
        return config['Memory'] >> 20, config['MemorySwap'] >> 20

    def test_all_memory_is_that_of_the_flavor(self):
        self.claim()
        for part, left in (({}, 32), ({'docker:huge_pages_mb': '48'}, 16)):
            self.instance.flavor.extra_specs = part
            self.spawn()
            self.assertEqual(64 - left, self.limits[0][1] >> 20)
            self.assertEqual((left, left), self.memory())
            self.destroy()

    def test_no_memory_left(self):
        self.instance.flavor.extra_specs = {'docker:huge_pages_mb': '64'}
        self.claim()
        error = self.assertRaises(exception.BuildAbortException, self.spawn)
        self.assertIn('memory', error.format_message())
        self.instance.numa_topology = None
        error = self.assertRaises(exception.BuildAbortException, self.spawn)
        self.assertIn('hw:mem_page_size', error.format_message())
        self.assert_nothing_left()

    def test_nobody_else_has_any(self):
        self.spawn()
        self.assertEqual([[2048, 0], [1048576, 0]], self.limits)
        self.assertEqual([], self.mounts)

    def test_host_without(self):
        self.compute.pages.return_value = {2048: 0}
        self.spawn()
        self.limit.assert_not_called()

    def test_host_that_does_not_limit_them(self):
        self.limit.side_effect = FileNotFoundError(errno.ENOENT, 'no groups')
        self.spawn()
        self.destroy()
        self.limits_pages.return_value = False
        self.claim()
        error = self.assertRaises(
            exception.ComputeResourcesUnavailable, self.spawn)
        self.assertIn('huge pages', error.format_message())

    def test_remapped_users(self):
        self.engine.details['SecurityOptions'].append('name=userns')
        self.driver.init_host('host1')
        self.claim()
        self.assertRaises(
            exception.ComputeResourcesUnavailable, self.spawn)

    def test_limits_that_can_not_be_set(self):
        self.claim()
        self.limit.side_effect = FileNotFoundError(errno.ENOENT, 'no file')
        self.assertRaises(exception.VirtualInterfacePlugException, self.spawn)
        self.assert_nothing_left()
