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


from nova import exception
from nova import objects
from nova.objects import fields
from oslo_serialization import jsonutils
from oslotest import base

from nova_docker.host import info
from nova_docker.host import inventory

HOST = info.HostInfo(
    arch='x86_64',
    cpu=info.Cpu(online=frozenset(range(8)), vendor='GenuineIntel',
                 model='Xeon', features=frozenset({'sse', 'avx'}),
                 sockets=1, cores=4, threads=2),
    memory_mb=16000, disk_gb=100, disk_free_gb=70, engine_version='28.5.2',
    hypervisor_version=28005002, cgroup_version='2',
    storage_driver='overlay2', data_root='/var/lib/docker',
    runtimes=frozenset({'runc'}), cdi_dirs=('/etc/cdi',), live_restore=False,
    security_options=frozenset())
RATIOS = {'VCPU': 4.0, 'MEMORY_MB': 1.5, 'DISK_GB': 2.0}
RESERVED = inventory.Reserved(cpus=1, memory_mb=512, disk_gb=5)


class CpusTest(base.BaseTestCase):

    ALL = set(range(8))

    def test_nothing_set(self):
        self.assertEqual((self.ALL, set()),
                         inventory.cpus(self.ALL, None, None))

    def test_shared(self):
        self.assertEqual(({1, 2}, set()),
                         inventory.cpus(self.ALL, {1, 2}, None))

    def test_dedicated_alone_leaves_none_to_share(self):
        self.assertEqual((set(), {4, 5}),
                         inventory.cpus(self.ALL, None, {4, 5}))

    def test_both(self):
        self.assertEqual(({0}, {4, 5}),
                         inventory.cpus(self.ALL, {0}, {4, 5}))

    def test_offline(self):
        for shared, dedicated, option in (({7, 8}, None, 'cpu_shared_set'),
                                          (None, {8}, 'cpu_dedicated_set')):
            error = self.assertRaises(
                exception.Invalid, inventory.cpus, self.ALL, shared,
                dedicated)
            self.assertIn(f'{option} names CPUs [8]', str(error))

    def test_overlap(self):
        error = self.assertRaises(exception.Invalid, inventory.cpus,
                                  self.ALL, {1, 2}, {2, 3})
        self.assertIn('[2]', str(error))


class OfTest(base.BaseTestCase):

    def test_inventory(self):
        self.assertEqual({
            'VCPU': {'total': 6, 'min_unit': 1, 'max_unit': 6,
                     'step_size': 1, 'allocation_ratio': 4.0, 'reserved': 1},
            'PCPU': {'total': 2, 'min_unit': 1, 'max_unit': 2,
                     'step_size': 1, 'allocation_ratio': 1.0, 'reserved': 0},
            'MEMORY_MB': {'total': 16000, 'min_unit': 1, 'max_unit': 16000,
                          'step_size': 1, 'allocation_ratio': 1.5,
                          'reserved': 512},
            'DISK_GB': {'total': 100, 'min_unit': 1, 'max_unit': 100,
                        'step_size': 1, 'allocation_ratio': 2.0,
                        'reserved': 5},
        }, inventory.of(HOST, 6, 2, RESERVED, RATIOS, {}))

    def test_nothing_of_a_kind(self):
        self.assertEqual({'VCPU', 'MEMORY_MB', 'DISK_GB'},
                         set(inventory.of(HOST, 8, 0, RESERVED, RATIOS, {})))
        self.assertEqual({'PCPU', 'MEMORY_MB', 'DISK_GB'},
                         set(inventory.of(HOST, 0, 8, RESERVED, RATIOS, {})))

    def test_devices(self):
        found = inventory.of(HOST, 8, 0, RESERVED, RATIOS,
                             {'VGPU': 3, 'PGPU': 0})
        self.assertEqual((3, 1.0), (found['VGPU']['total'],
                                    found['VGPU']['allocation_ratio']))
        self.assertNotIn('PGPU', found)

    def test_not_more_reserved_than_there_is(self):
        # Placement refuses it, and with it the whole inventory.
        reserved = inventory.Reserved(disk_gb=500)
        self.assertEqual(100, inventory.of(
            HOST, 8, 0, reserved, RATIOS, {})['DISK_GB']['reserved'])


class AvailableResourceTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.resource = inventory.available_resource(
            HOST, 'node1', 6, 2, RESERVED, [{'address': '0000:01:10.1'}],
            objects.NUMATopology(cells=[]))

    def test_values(self):
        cpu_info = jsonutils.loads(self.resource.pop('cpu_info'))
        self.assertEqual({
            'vcpus': 8, 'vcpus_used': 0,
            'memory_mb': 16000, 'memory_mb_used': 512,
            'local_gb': 100, 'local_gb_used': 30,
            'disk_available_least': 70,
            'hypervisor_type': 'docker',
            'hypervisor_version': 28005002,
            'hypervisor_hostname': 'node1',
            'supported_instances': [('x86_64', 'docker', 'exe')],
            'numa_topology': self.resource['numa_topology'],
            'pci_passthrough_devices': '[{"address": "0000:01:10.1"}]',
        }, self.resource)
        self.assertEqual(
            {'arch': 'x86_64', 'vendor': 'GenuineIntel', 'model': 'Xeon',
             'features': ['avx', 'sse'],
             'topology': {'sockets': 1, 'cores': 4, 'threads': 2}}, cpu_info)

    def test_numa_topology(self):
        self.assertEqual([], objects.NUMATopology.obj_from_db_obj(
            self.resource['numa_topology']).cells)

    def test_nova_knows_the_names(self):
        for arch, hypervisor, mode in self.resource['supported_instances']:
            self.assertTrue(fields.Architecture.is_valid(arch))
            self.assertTrue(fields.HVType.is_valid(hypervisor))
            self.assertTrue(fields.VMMode.is_valid(mode))
