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


"""The CPUs of instances."""

from nova import exception
from nova import objects
from nova.objects import fields
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.host import numa
from nova_docker.spec import names
from tests.unit.lifecycle import base


def cell(number, pinning=None, shared=()):
    return objects.InstanceNUMACell(
        id=number, cpuset=set(shared), pcpuset=set(pinning or ()), memory=64,
        pagesize=4, cpu_pinning=pinning, cpuset_reserved=None,
        cpu_policy=fields.CPUAllocationPolicy.DEDICATED if pinning else None,
        cpu_thread_policy=None)


class CpusTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.compute.numa.return_value = [
            numa.Node(number, {cpu: numa.Cpu(frozenset((cpu,)), 0)
                               for cpu in cpus}, 1 << 20, {})
            for number, cpus in ((0, (0, 1)), (1, (2, 3)))]
        self.restart('0,2', '1,3')

    def restart(self, shared, dedicated):
        self.flags(group='compute', cpu_shared_set=shared,
                   cpu_dedicated_set=dedicated)
        self.driver.init_host('host1')

    def config(self, name=None):
        return self.engine.inspect_container(
            name or names.container_name(self.instance.uuid))['HostConfig']

    def claim(self, *cells):
        self.instance.numa_topology = objects.InstanceNUMATopology(
            cells=list(cells))


class OfTest(CpusTestCase):

    def spawned_on(self):
        self.spawn()
        config = self.config()
        return (config['CpusetCpus'], config.get('CpusetMems'),
                'CpuQuota' in config)

    def test_floating_ones_are_kept_off_dedicated_cpus(self):
        self.assertEqual(('0,2', None, True), self.spawned_on())

    def test_dedicated(self):
        self.claim(cell(1, {0: 3}))
        self.assertEqual(('3', '1', False), self.spawned_on())

    def test_mixed(self):
        self.claim(cell(0, {0: 1}, [1]))
        self.assertEqual(('0,1', '0', True), self.spawned_on())

    def test_nodes_of_a_shared_one(self):
        self.claim(cell(0, shared=[0]), cell(1, shared=[1]))
        self.assertEqual(('0,2', '0,1', True), self.spawned_on())

    def test_no_cpu_of_its_nodes(self):
        self.restart('0', '2,3')
        self.claim(cell(1, shared=[0]))
        self.assertRaises(exception.ComputeResourcesUnavailable, self.spawn)
        self.assert_nothing_left()

    def test_nova_is_told(self):
        found = self.driver.get_available_resource('host1')
        cells = objects.NUMATopology.obj_from_db_obj(
            found['numa_topology']).cells
        self.assertEqual([({0}, {1}), ({2}, {3})],
                         [(each.cpuset, each.pcpuset) for each in cells])

    def test_networks_that_are_near_to_a_node(self):
        self.flags(group='neutron_tunnel', numa_nodes=[1])
        self.restart('0,2', '1,3')
        found = self.driver.get_available_resource('host1')
        self.assertEqual([False, True], [
            each.network_metadata.tunneled for each in
            objects.NUMATopology.obj_from_db_obj(
                found['numa_topology']).cells])
        self.flags(group='neutron_tunnel', numa_nodes=[2])
        self.assertRaises(exception.InvalidNetworkNUMAAffinity, self.restart,
                          '0', '1')


class HealTest(CpusTestCase):

    def test_the_options_have_changed(self):
        self.spawn()
        self.instance = base.make_instance(id=2, uuid=uuids.pinned)
        self.claim(cell(1, {0: 3}))
        self.spawn()
        self.restart('0', '1,2,3')
        self.assertEqual('0', self.config(
            names.container_name(uuids.instance))['CpusetCpus'])
        self.assertEqual('3', self.config()['CpusetCpus'])
        self.restart(None, None)
        self.assertEqual('0,1,2,3', self.config(
            names.container_name(uuids.instance))['CpusetCpus'])

    def test_no_change(self):
        self.spawned()
        self.driver.init_host('host1')
        self.assertEqual([], self.steps(('update_container',)))

    def test_what_is_not_ours(self):
        self.spawn()
        foreign = self.foreign_container()
        self.restart('0', '1')
        self.assertNotIn('CpusetCpus', self.config(foreign))

    def test_failures_do_not_stop_nova_compute(self):
        self.spawn()
        self.engine.fail_next('update_container',
                              errors.ServerError('no', 500))
        self.restart('0', '1')
        self.assertEqual('0,2', self.config()['CpusetCpus'])
