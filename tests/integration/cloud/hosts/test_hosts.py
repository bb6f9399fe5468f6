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


from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.hosts import base as hosts_base


class HypervisorsTest(hosts_base.HostsTestCase):

    def test_all_are_up(self):
        found = {each.name: (each.state, each.hypervisor_type)
                 for each in self.compute.hypervisors(details=True)}
        self.assertEqual(dict.fromkeys(self.hosts, ('up', 'docker')), found)


class NetworkTest(hosts_base.HostsTestCase):

    def test_one_network(self):
        """All that two servers can show: it takes long to make them."""
        servers = self.one_on_each()
        for check in (self.assert_on_its_host_only, self.assert_reach,
                      self.assert_full_size, self.assert_from_outside):
            check(*servers)
        for server in servers:
            self.assertEqual(server.id, self.metadata(server)['uuid'])

    def assert_on_its_host_only(self, *servers):
        for server in servers:
            for name, host in self.hosts.items():
                found = host.engine.containers(
                    filters={'name': f'nova-{server.id}'})
                self.assertEqual(name == server.hypervisor_hostname,
                                 bool(found))

    def assert_reach(self, one, two):
        for server, other in ((one, two), (two, one)):
            for address in self.addresses(other):
                self.assert_pings(server, address)
            address = self.addresses(other)[0]
            # Checksums left to a device would let ping through, but not TCP.
            self.assert_fetches(server, f'http://{address}/',
                                f'{other.name}\n')

    def assert_full_size(self, one, two):
        """The network's MTU leaves room for the tunnel's headers."""
        mtu = self.network.find_network('private').mtu
        self.assertTrue(self.pings(one, self.addresses(two)[0],
                                   size=mtu - 28))

    def assert_from_outside(self, *servers):
        for server in servers:
            self.assert_serves(self.floating_ip(server),
                               f'{server.name}\n')

    def test_two_networks_stay_apart_until_a_router_joins_them(self):
        one_net, one_subnet = self.network_of_its_own('10.31.0.0/24')
        two_net, two_subnet = self.network_of_its_own('10.32.0.0/24')
        one, two = self.one_on_each(
            [{'uuid': network.id} for network in (one_net, two_net)])
        address = self.addresses(two)[0]
        self.assertFalse(self.pings(one, address))
        router = self.network.create_router(name=one_net.name)
        self.addCleanup(self.network.delete_router, router)
        for subnet in (one_subnet, two_subnet):
            self.network.add_interface_to_router(router, subnet_id=subnet.id)
            self.addCleanup(self.network.remove_interface_from_router,
                            router, subnet_id=subnet.id)
        self.assert_pings(one, address)

    @cloud_base.long_only
    def test_same_range_in_two_networks(self):
        networks = [self.network_of_its_own('10.33.0.0/24')[0]
                    for _number in range(2)]
        addresses = ('10.33.0.10', '10.33.0.20')
        one, two = self.one_on_each(
            [{'uuid': network.id, 'fixed_ip': address}
             for network, address in zip(networks, addresses, strict=True)])
        self.assertFalse(self.pings(one, addresses[1]))
        self.assertFalse(self.pings(two, addresses[0]))
