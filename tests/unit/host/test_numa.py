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
from nova import exception
from oslotest import base

from nova_docker.host import numa

NOWHERE = numa.Networks({}, frozenset())
MEMINFO = 'Node 0 MemTotal:       {} kB\nNode 0 MemFree:  1 kB\n'


class ReadTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.sys = self.useFixture(fixtures.TempDir()).path
        for cpu in range(4):
            self.write(f'cpu/cpu{cpu}/topology/thread_siblings_list',
                       '0,2' if cpu % 2 == 0 else '1,3')
            self.write(f'cpu/cpu{cpu}/topology/physical_package_id',
                       str(cpu % 2))

    def write(self, path, text):
        path = os.path.join(self.sys, 'devices/system', path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text + '\n')

    def node(self, number, cpus, memory=1000, pages=()):
        self.write(f'node/node{number}/cpulist', cpus)
        self.write(f'node/node{number}/meminfo', MEMINFO.format(memory))
        for size, count in pages:
            self.write(f'node/node{number}/hugepages/hugepages-{size}kB/'
                       'nr_hugepages', str(count))

    def test_nodes(self):
        self.node(10, '1,3', 2000)
        self.node(0, '0,2', 1000, ((2048, 7), (1048576, 0)))
        first, second = numa.read(self.sys)
        self.assertEqual(
            numa.Node(0, {cpu: numa.Cpu(frozenset((0, 2)), 0)
                          for cpu in (0, 2)}, 1000, {2048: 7, 1048576: 0}),
            first)
        self.assertEqual((10, 2000), (second.id, second.memory_kb))
        self.assertEqual(1, second.cpus[3].socket)

    def test_node_of_memory_alone(self):
        self.node(0, '')
        node, = numa.read(self.sys)
        self.assertEqual({}, node.cpus)

    def test_a_kernel_without(self):
        self.write('cpu/online', '0-3')
        proc = os.path.join(self.sys, 'devices/system')
        self.write('meminfo', 'MemTotal:  500 kB')
        node, = numa.read(self.sys, proc)
        self.assertEqual((0, {0, 1, 2, 3}, 500, {}), (
            node.id, set(node.cpus), node.memory_kb, node.pages))


class TopologyTest(base.BaseTestCase):

    def topology(self, shared, dedicated, reserved=None, networks=NOWHERE):
        cores = (frozenset((0, 2)), frozenset((1, 3)))
        return numa.topology(
            [numa.Node(number, {cpu: numa.Cpu(cores[number], number)
                                for cpu in cores[number]},
                       4096 * 1024, {2048: 512})
             for number in range(2)], shared, dedicated, reserved or {},
            networks).cells

    def test_cpus(self):
        first, second = self.topology({0, 1}, {3})
        self.assertEqual(({0}, set()), (first.cpuset, first.pcpuset))
        self.assertEqual(({1}, {3}), (second.cpuset, second.pcpuset))
        # Those that are for nobody are none.
        self.assertEqual([{0}], first.siblings)
        self.assertEqual([{1, 3}], second.siblings)
        self.assertEqual((0, 1), (first.socket, second.socket))
        self.assertEqual((set(), 0), (second.pinned_cpus, second.cpu_usage))

    def test_memory(self):
        first, second = self.topology({0}, set(), {1: {2048: 3}})
        self.assertEqual(4096, first.memory)
        self.assertEqual(
            [(4, 786432, 0), (2048, 512, 0)],
            [(page.size_kb, page.total, page.reserved)
             for page in first.mempages])
        self.assertEqual([0, 3], [page.reserved for page in second.mempages])

    def test_networks(self):
        first, second = self.topology({0}, set(), networks=numa.Networks(
            {'a': frozenset((0,)), 'b': frozenset((0, 1))}, frozenset((1,))))
        self.assertEqual(({'a', 'b'}, False), (
            first.network_metadata.physnets, first.network_metadata.tunneled))
        self.assertEqual(({'b'}, True), (
            second.network_metadata.physnets,
            second.network_metadata.tunneled))

    def test_nova_can_store_it(self):
        topology = numa.topology([], set(), set(), {}, NOWHERE)
        self.assertIn('NUMATopology', topology._to_json())


class LimitsPagesTest(base.BaseTestCase):

    def limits_pages(self, *mounts):
        proc = self.useFixture(fixtures.TempDir()).path
        os.mkdir(os.path.join(proc, 'self'))
        with open(os.path.join(proc, 'self/mountinfo'), 'w') as file:
            for path, kind, options in mounts:
                file.write(f'1 0 0:1 / {path} rw shared:1 - {kind} x '
                           f'{options}\n')
        return numa.limits_pages(proc)

    def test_version_1(self):
        self.assertTrue(self.limits_pages(
            ('/a', 'cgroup', 'rw,memory'), ('/b', 'cgroup', 'rw,hugetlb')))
        self.assertFalse(self.limits_pages(('/a', 'cgroup', 'rw,memory')))

    def test_version_2(self):
        directory = self.useFixture(fixtures.TempDir()).path
        for controllers, limits in (('cpu hugetlb io', True),
                                    ('cpu io', False)):
            with open(os.path.join(directory, 'cgroup.controllers'),
                      'w') as file:
                file.write(controllers + '\n')
            self.assertEqual(limits, self.limits_pages(
                (directory, 'cgroup2', 'rw')))


class CheckTest(base.BaseTestCase):

    def test_nodes(self):
        nodes = [numa.Node(0, {}, 1, {})]
        for physical, tunnels, wrong in (
                ({}, (), None), ({'a': (0,)}, (0,), None),
                ({'a': (0, 1)}, (), 'physnet_a'), ({'a': ()}, (), 'physnet_a'),
                ({}, (2,), 'neutron_tunnel')):
            networks = numa.Networks(
                {name: frozenset(each) for name, each in physical.items()},
                frozenset(tunnels))
            if wrong is None:
                numa.check(networks, nodes)
            else:
                error = self.assertRaises(
                    exception.InvalidNetworkNUMAAffinity, numa.check,
                    networks, nodes)
                self.assertIn(wrong, str(error))
