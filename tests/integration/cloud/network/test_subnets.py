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

import json

from tests.integration.cloud import base


class SubnetsTest(base.CloudTestCase):
    """What networks and subnets say is so in a server."""

    policy = 'affinity'

    def _ip(self, *command):
        """What ip of the host's says of the server's network."""
        pid = self.container(self.server)['State']['Pid']
        return json.loads(self.host_of(self.server).run(
            'nsenter', f'--net=/proc/{pid}/ns/net', 'ip', '-json', *command))

    def _addresses(self):
        """IPv4 addresses of eth0."""
        [link] = self._ip('-4', 'address', 'show', 'eth0')
        return {each['local'] for each in link['addr_info']}

    def _routes(self):
        """Gateways of IPv4 by their destinations, but of links."""
        return {route['dst']: route['gateway']
                for route in self._ip('-4', 'route') if 'gateway' in route}

    def _mtu(self):
        return self._ip('link', 'show', 'eth0')[0]['mtu']

    def _name_servers(self):
        _status, text = self.execute(self.server, 'cat', '/etc/resolv.conf')
        return [line.split()[1] for line in text.splitlines()
                if line.startswith('nameserver')]

    def test_no_gateway(self):
        net = self.network.create_network(name=self.id()[-200:], mtu=1300)
        self.addCleanup(self.network.delete_network, net)
        subnet = self.network.create_subnet(
            network_id=net.id, cidr='10.45.0.0/24', ip_version=4,
            gateway_ip=None, dns_nameservers=['192.0.2.53', '192.0.2.54'],
            host_routes=[{'destination': '198.51.100.0/24',
                          'nexthop': '10.45.0.9'}])
        port = self.network.create_port(network_id=net.id, fixed_ips=[
            {'subnet_id': subnet.id, 'ip_address': f'10.45.0.{number}'}
            for number in (20, 21)])
        self.addCleanup(self.network.delete_port, port)
        server = self.build('server', networks=[{'port': port.id}])
        peer = self.build('peer', networks=[{'uuid': net.id}])
        self.server = self.wait_status(server, 'ACTIVE')
        peer = self.wait_status(peer, 'ACTIVE')

        self.assertEqual(1300, self._mtu())
        self.assertEqual({'10.45.0.20', '10.45.0.21'}, self._addresses())
        routes = self._routes()
        # Where it is, is Neutron's affair.
        del routes['169.254.169.254']
        self.assertEqual({'198.51.100.0/24': '10.45.0.9'}, routes)
        self.assertEqual(['192.0.2.53', '192.0.2.54'], self._name_servers())
        for address in self._addresses():
            self.assert_pings(peer, address)
        self.assertEqual(server.id, self.metadata(server)['uuid'])

        self.network.update_network(net, mtu=1250)
        self.network.update_subnet(subnet, host_routes=[
            {'destination': '203.0.113.0/24', 'nexthop': '10.45.0.8'}])
        with self.another_start(self.server):
            self.compute.reboot_server(self.server, 'SOFT')
        self.assertEqual(1250, self._mtu())
        self.assertEqual('10.45.0.8', self._routes()['203.0.113.0/24'])
        self.assertNotIn('198.51.100.0/24', self._routes())

    def test_fixed_ips_of_several_subnets(self):
        net, first = self.network_of_its_own('10.46.0.0/24')
        second = self.network.create_subnet(
            network_id=net.id, cidr='10.47.0.0/24', ip_version=4)
        port = self.network.create_port(network_id=net.id, fixed_ips=[
            {'subnet_id': first.id, 'ip_address': '10.46.0.20'},
            {'subnet_id': second.id, 'ip_address': '10.47.0.20'}])
        self.addCleanup(self.network.delete_port, port)
        self.server = self.create('server', networks=[{'port': port.id}])
        self.assertEqual({'10.46.0.20', '10.47.0.20'}, self._addresses())
        for subnet in (first, second):
            peer = self.create('peer', networks=[{
                'port': self._port_in(net, subnet).id}])
            address = subnet.cidr.replace('.0/24', '.20')
            self.assert_pings(peer, address)
            self.delete(peer)

    def _port_in(self, net, subnet):
        port = self.network.create_port(
            network_id=net.id, fixed_ips=[{'subnet_id': subnet.id}])
        self.addCleanup(self.network.delete_port, port)
        return port
