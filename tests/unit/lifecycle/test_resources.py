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


"""What the host offers, as Nova and Placement are told."""

import json

from nova.compute import provider_tree
from nova import exception
import os_resource_classes as orc
import os_traits
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.host import traits
from tests.unit.lifecycle import base


class AvailableTest(base.LifecycleTestCase):

    def test_of_the_engine_and_the_options(self):
        found = self.driver.get_available_resource('host1')
        self.assertEqual('host1', found['hypervisor_hostname'])
        self.assertEqual(4, found['vcpus'])
        self.assertEqual(8192, found['memory_mb'])
        self.assertEqual(512, found['memory_mb_used'])
        self.assertEqual('docker', found['hypervisor_type'])
        self.assertEqual(28005002, found['hypervisor_version'])
        self.assertEqual('EPYC', json.loads(found['cpu_info'])['model'])

    def test_what_the_engine_says_now(self):
        self.engine.details['MemTotal'] = 4 << 30
        found = self.driver.get_available_resource('host1')
        self.assertEqual(4096, found['memory_mb'])

    def test_constant_number_of_requests(self):
        for number in range(3):
            self.instance = base.make_instance(
                id=number, uuid=getattr(uuids, f'instance{number}'))
            self.spawn(power_on=False)
        self.compute.steps.clear()
        self.driver.get_available_resource('host1')
        self.assertEqual([('info', ())], self.compute.steps)

    def test_no_engine(self):
        self.engine.fail_next('info', errors.Unavailable('gone'))
        self.assertRaises(exception.HypervisorUnavailable,
                          self.driver.get_available_resource, 'host1')


class ProviderTreeTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.tree = provider_tree.ProviderTree()
        self.tree.new_root('host1', uuids.node, generation=0)

    def update(self):
        self.driver.update_provider_tree(self.tree, 'host1')
        return self.tree.data('host1')

    def test_inventory(self):
        self.flags(initial_cpu_allocation_ratio=3.0)
        found = self.update().inventory
        self.assertEqual(4, found[orc.VCPU]['total'])
        self.assertEqual(3.0, found[orc.VCPU]['allocation_ratio'])
        self.assertEqual((8192, 512), (found[orc.MEMORY_MB]['total'],
                                       found[orc.MEMORY_MB]['reserved']))
        self.assertIn(orc.DISK_GB, found)
        self.assertNotIn(orc.PCPU, found)

    def test_ratio_that_an_operator_set_in_placement(self):
        self.tree.update_inventory('host1', {orc.VCPU: {
            'total': 4, 'min_unit': 1, 'max_unit': 4, 'step_size': 1,
            'allocation_ratio': 7.0, 'reserved': 0}})
        self.assertEqual(
            7.0, self.update().inventory[orc.VCPU]['allocation_ratio'])

    def test_traits(self):
        found = self.update().traits
        self.assertLessEqual(
            {traits.DOCKER, os_traits.HW_CPU_X86_AVX2}, found)

    def test_traits_of_others_stay_and_stale_ones_go(self):
        self.tree.add_traits(
            'host1', 'CUSTOM_RACK_7', os_traits.COMPUTE_NODE,
            'CUSTOM_DOCKER_RUNTIME_KATA', os_traits.HW_CPU_X86_AVX512F)
        found = self.update().traits
        self.assertLessEqual({'CUSTOM_RACK_7', os_traits.COMPUTE_NODE},
                             found)
        self.assertNotIn('CUSTOM_DOCKER_RUNTIME_KATA', found)
        self.assertNotIn(os_traits.HW_CPU_X86_AVX512F, found)
        self.assertIn('CUSTOM_DOCKER_RUNTIME_RUNC', found)

    def test_again_changes_nothing(self):
        first = self.update()
        second = self.update()
        self.assertEqual((first.inventory, first.traits),
                         (second.inventory, second.traits))
