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

"""CPUs and memory of NUMA nodes, seen from inside."""

import dataclasses
import os

import fixtures
from nova import conf
from nova.virt import hardware

from nova_docker.host import info
from nova_docker.host import numa
from tests.fixtures import loops
from tests.functional import base
from tests.functional import flavors

CONF = conf.CONF


class CpusTestCase(flavors.FlavorTestCase):

    def setUp(self):
        # As an operator does who has such flavors.
        self.flags(group='filter_scheduler', enabled_filters=[
            *CONF.filter_scheduler.enabled_filters, 'NUMATopologyFilter'])
        super().setUp()
        self.node, = numa.read()[:1]

    def cpus(self, server):
        return hardware.parse_cpu_spec(self.inside(
            server, 'grep Cpus_allowed_list /proc/self/status | cut -f2'))

    def assert_full(self):
        """The scheduler knows of no host for one more."""
        self.assertIn('No valid host', self.fault(
            self.boot('ERROR', networks='none')))


class CpusTest(CpusTestCase):

    def setUp(self):
        super().setUp()
        self.first, self.second = sorted(
            self.node.cpus.keys() & os.sched_getaffinity(0))[:2]

    def restart(self, **cpus):
        self.flags(group='compute', **{
            name: ','.join(map(str, numbers))
            for name, numbers in cpus.items()})
        super().restart()

    def add_flavor(self, vcpus, **specs):
        self.flavor_id = self.admin_api.post_flavor({'flavor': {
            'name': f'of {specs}', 'vcpus': vcpus, 'ram': 64, 'disk': 1,
            'id': None}})['id']
        self.add(**specs)

    @base.one_nova
    def test_two_that_are_dedicated(self):
        self.restart(cpu_dedicated_set=[self.first, self.second])
        servers = []
        for specs in ({'hw:cpu_policy': 'dedicated'},
                      {'resources:PCPU': '1'}):
            self.add_flavor(1, **specs)
            servers.append(self.boot(networks='none'))
        self.assertEqual(
            [{self.first}, {self.second}],
            sorted((self.cpus(server) for server in servers), key=min))
        self.assert_full()
        # Nor has it a CPU that would be no one's.
        self.add_flavor(1, **{'hw:cpu_policy': 'shared'})
        self.assert_full()

    def test_dedicated_and_shared(self):
        self.restart(cpu_shared_set=[self.first],
                     cpu_dedicated_set=[self.second])
        shared = self.boot(networks='none')
        self.add_flavor(2, **{'hw:cpu_policy': 'mixed',
                              'hw:cpu_dedicated_mask': '0'})
        mixed = self.boot(networks='none')
        self.assertEqual({self.first, self.second}, self.cpus(mixed))
        self.api.delete_server(mixed['id'])
        self._wait_until_deleted(mixed)
        self.add_flavor(1, **{'hw:cpu_policy': 'dedicated'})
        self.assertEqual(
            {self.second}, self.cpus(self.boot(networks='none')))
        self.assertEqual({self.first}, self.cpus(shared))
        self.assert_full()

    @base.one_nova
    def test_threads_of_a_core(self):
        """Both CPUs are of one core, as the host has it then."""
        core = frozenset((self.first, self.second))
        self.useFixture(fixtures.MockPatchObject(
            numa, 'read', autospec=True, return_value=[dataclasses.replace(
                self.node, cpus={
                    cpu: dataclasses.replace(
                        self.node.cpus[cpu], siblings=core)
                    for cpu in core})]))
        self.useFixture(fixtures.MockPatchObject(
            info, 'cpu', autospec=True, return_value=dataclasses.replace(
                info.cpu('/proc', '/sys'), threads=2)))
        self.restart(cpu_dedicated_set=core)
        self.add_flavor(1, **{'hw:cpu_policy': 'dedicated',
                              'hw:cpu_thread_policy': 'isolate'})
        self.assert_full()
        self.add_flavor(2, **{'hw:cpu_policy': 'dedicated',
                              'hw:cpu_thread_policy': 'require'})
        self.assertEqual(core, self.cpus(self.boot(networks='none')))


class NodesTest(CpusTestCase):

    def test_of_one_node(self):
        """The one that is there, and another one with less memory."""
        first, second = sorted(
            self.node.cpus.keys() & os.sched_getaffinity(0))[:2]
        pages = {2048: 64}
        self.useFixture(fixtures.MockPatchObject(
            numa, 'read', autospec=True, return_value=[
                dataclasses.replace(
                    self.node, pages=pages,
                    cpus={first: self.node.cpus[first]}),
                dataclasses.replace(
                    self.node, pages=pages, id=self.node.id + 1,
                    memory_kb=self.node.memory_kb // 2,
                    cpus={second: self.node.cpus[second]})]))
        self.useFixture(fixtures.MockPatchObject(
            numa, 'limits_pages', autospec=True, return_value=True))
        self.restart()
        self.add(**{
            'hw:numa_nodes': '1', 'hw:numa_cpus.0': '0',
            'hw:numa_mem.0': '64', 'hw:mem_page_size': '2048',
            'docker:huge_pages_mb': '48'})
        server = self.boot()
        self.assertEqual({first}, self.cpus(server))
        self.assertEqual(str(self.node.id), self.inside(
            server, 'grep Mems_allowed_list /proc/self/status | cut -f2'))
        mounted = self.inside(server, 'grep hugetlbfs /proc/mounts')
        for word in ('/dev/hugepages-2048kB', 'pagesize=2M',
                     f'size={48 << 20}'):
            self.assertIn(word, mounted)
        self.delete(server)

    @base.one_nova
    def test_locked_memory(self):
        if not loops.has_sys_resource():
            self.skipTest('root cannot raise limits here: it lacks '
                          'CAP_SYS_RESOURCE')
        self.add(**{'hw:mem_page_size': 'small', 'hw:locked_memory': 'true'})
        server = self.boot()
        self.assertEqual('unlimited unlimited', self.inside(
            server, 'awk "/locked memory/ {print \\$4, \\$5}" '
            '/proc/1/limits'))
        self.delete(server)
