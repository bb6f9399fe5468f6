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

"""What the tests of several hosts share."""

import uuid

import fixtures

from evalcloud import settings
from tests.integration.cloud import base


class HostsTestCase(base.CloudTestCase):
    """A test by the administrator, who may choose a server's host."""

    def setUp(self):
        cloud = settings.load(base.state_dir())
        if cloud.computes < 2:
            self.skipTest('the cloud has one compute host')
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLOUD', 'nova-docker'))
        super().setUp()
        self.hosts = {
            host.name: base.Host(
                host.folder, {'DOCKER_HOST': cloud.docker_host(host),
                              **host.runtime}, host.enter)
            for host in cloud.compute_hosts}
        for host in self.hosts.values():
            self.leave_nothing_on(host)
        self.network = self.cloud.network

    def host_of(self, server):
        return self.hosts[server.hypervisor_hostname]

    def one_on_each(self, networks=None, **options):
        """A server on each of the first two hosts, all ACTIVE.

        :param networks: the "networks" entry of each, "private" without
        """
        names = list(self.hosts)[:2]
        private = {'uuid': self.network.find_network('private').id}
        servers = [
            self.build(f'on-{name}', availability_zone=f'nova:{name}',
                       networks=[network], **options)
            for name, network in zip(names, networks or [private] * 2,
                                     strict=True)]
        servers = [self.wait_status(server, 'ACTIVE') for server in servers]
        self.assertEqual(names, [server.hypervisor_hostname
                                 for server in servers])
        return servers

    def network_of_its_own(self, cidr):
        """A network with one subnet; both are returned."""
        network = self.network.create_network(name=f'net-{uuid.uuid4().hex}')
        self.addCleanup(self.network.delete_network, network)
        subnet = self.network.create_subnet(
            network_id=network.id, cidr=cidr, ip_version=4)
        return network, subnet

    def security_group(self):
        """A security group that lets nothing in."""
        group = self.network.create_security_group(
            name=f'group-{uuid.uuid4().hex}')
        self.addCleanup(self.network.delete_security_group, group)
        return group

    def allow(self, group, **rule):
        """Let IPv4 traffic into the members of a group."""
        return self.network.create_security_group_rule(
            security_group_id=group.id, direction='ingress',
            ether_type='IPv4', **rule)

    def pings(self, server, address, size=56):
        """Whether an address answers the server once in three seconds."""
        status, _output = self.host_of(server).execute(
            server, 'ping', '-c', '3', '-W', '1', '-s', str(size), address)
        return not status

    def fetch(self, server, url):
        """Exit status and output of wget inside a server."""
        return self.host_of(server).execute(server, 'wget', '-qO-', url)
