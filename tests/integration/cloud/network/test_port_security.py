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

import ipaddress

from evalcloud import settings
from tests.fixtures import frames
from tests.integration.cloud import base

#: What the sender has not.
_MAC = 'fa:16:3e:00:00:99'
_IPV4 = '10.41.0.99'
_IPV6 = 'fd20:6e6f:7641::99'


class PortSecurityTest(base.CloudTestCase):
    """What root in a server sends, to one that lets all in.

    A frame of the server's own making leaves by a packet socket in its
    network namespace. That takes the capability NET_RAW, which it has.
    """

    policy = 'affinity'

    def setUp(self):
        super().setUp()
        # Neutron's DHCP agent gets stuck at IPv6 that comes to a network
        # while it sets IPv4 up.
        self.net, ipv6 = self.network_of_its_own('fd20:6e6f:7641::/64')
        self.subnets = [self.network.create_subnet(
            network_id=self.net.id, cidr='10.41.0.0/24', ip_version=4), ipv6]
        self.group = self.security_group()
        for family in ('IPv4', 'IPv6'):
            self.allow(self.group, ether_type=family)
        self.port, self.target = self._port(10), self._port(20)
        self.sender, self.receiver = [
            self.wait_status(server, 'ACTIVE') for server in [
                self.build(name, networks=[{'port': each.id}])
                for name, each in (('sender', self.port),
                                   ('receiver', self.target))]]
        self.out, self.into = [
            self.useFixture(frames.Wire(self._pid(server)))
            for server in (self.sender, self.receiver)]
        self._make_frames(
            self.port.mac_address, *self._addresses(self.port),
            self.target.mac_address, *self._addresses(self.target))
        self._assert_arrive()

    def _port(self, number):
        """A port with the addresses of this number in the subnets."""
        port = self.network.create_port(
            network_id=self.net.id, security_group_ids=[self.group.id],
            fixed_ips=[{'subnet_id': subnet.id, 'ip_address': str(
                ipaddress.ip_network(subnet.cidr)[number])}
                for subnet in self.subnets])
        self.addCleanup(self.network.delete_port, port)
        return port

    def _addresses(self, port):
        """IPv4 and IPv6 address."""
        found = {each['subnet_id']: each['ip_address']
                 for each in port.fixed_ips}
        return [found[subnet.id] for subnet in self.subnets]

    def _pid(self, server):
        return self.container(server)['State']['Pid']

    def _make_frames(self, mac, ipv4, ipv6, to_mac, to_ipv4, to_ipv6):
        self.proper = {
            'IPv4': frames.udp(mac, ipv4, to_mac, to_ipv4, b'proper'),
            'IPv6': frames.udp(mac, ipv6, to_mac, to_ipv6, b'proper'),
            'ARP': frames.arp(mac, ipv4, to_mac, to_ipv4)}
        self.spoofed = {
            'MAC and IPv4': frames.udp(_MAC, ipv4, to_mac, to_ipv4, b'x'),
            'MAC and IPv6': frames.udp(_MAC, ipv6, to_mac, to_ipv6, b'x'),
            'IPv4 address': frames.udp(mac, _IPV4, to_mac, to_ipv4, b'x'),
            'IPv6 address': frames.udp(mac, _IPV6, to_mac, to_ipv6, b'x'),
            'ARP of another address': frames.arp(
                mac, _IPV4, to_mac, to_ipv4),
            'ARP of another MAC': frames.arp(
                mac, ipv4, to_mac, to_ipv4, sender=_MAC)}
        if settings.load(base.state_dir()).network == 'ovs':
            # Of ARP, Neutron's firewalls there see to the frame's MAC and
            # the address.
            del self.spoofed['ARP of another MAC']

    def _arrived(self):
        """Names of the frames that the receiver gets of them all."""
        sent = {**self.spoofed, **self.proper}
        for frame in sent.values():
            self.out.send(frame)
        found = self.into.arrived(sent.values())
        return {name for name, frame in sent.items() if frame in found}

    def _assert_arrive(self, *more):
        """Proper frames and those of these names get there, no others."""
        self.assert_becomes({*self.proper, *more}, self._arrived)

    def test_root_has_packet_sockets(self):
        status, output = self.execute(
            self.sender, 'arping', '-c', '1', '-w', '5',
            self._addresses(self.target)[0])
        self.assertEqual(0, status, output)

    @base.long_only
    def test_switched_off_and_on(self):
        self._assert_arrive()
        self.network.update_port(
            self.port, security_group_ids=[], is_port_security_enabled=False)
        self._assert_arrive(*self.spoofed)
        self.network.update_port(
            self.port, security_group_ids=[self.group.id],
            is_port_security_enabled=True)
        self._assert_arrive()

    def test_allowed_address_pair(self):
        self.host_of(self.sender).run(
            'nsenter', f'--net=/proc/{self._pid(self.sender)}/ns/net', 'ip',
            'address', 'add', f'{_IPV4}/24', 'dev', 'eth0')
        self.assertFalse(self.pings(self.receiver, _IPV4))
        self.network.update_port(
            self.port, allowed_address_pairs=[{'ip_address': _IPV4}])
        self.assert_pings(self.receiver, _IPV4)
        self._assert_arrive('IPv4 address', 'ARP of another address')
        self.network.update_port(self.port, allowed_address_pairs=[])
        self._assert_arrive()
        self.assertFalse(self.pings(self.receiver, _IPV4))
