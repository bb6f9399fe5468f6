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
import pathlib
import uuid

import fixtures
import openstack

from evalcloud import busybox
from evalcloud import debian
from evalcloud import system_image
from tests.integration.cloud import base

#: The client is a daemon; nothing else sets up the interface.
_COMMAND = ('udhcpc -b -i eth0 -O staticroutes -p /tmp/udhcpc.pid; '
            + busybox.COMMAND[-1])
_OTHER = '10.47.0.99'
_OTHER_MAC = 'fa:16:3e:00:00:99'


class DhcpTest(base.CloudTestCase):
    """Servers whose image has a DHCP client."""

    def setUp(self):
        super().setUp()
        self.admin = openstack.connect(cloud='nova-docker')
        self.addCleanup(self.admin.close)
        self.image = self._make_image()
        self.flavor = self.admin.compute.create_flavor(
            name=f'flavor-{uuid.uuid4().hex}', ram=64, vcpus=1, disk=1)
        self.addCleanup(self.admin.compute.delete_flavor, self.flavor)
        self.admin.compute.create_flavor_extra_specs(
            self.flavor, {'docker:net_admin': 'true'})
        self.net, self.subnet = self.network_of_its_own('10.47.0.0/24')
        self.group = self.security_group()
        for family in ('IPv4', 'IPv6'):
            self.allow(self.group, ether_type=family)

    def _make_image(self):
        archive = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'image.tar')
        busybox.write_archive(archive, ['/bin/sh', '-c', _COMMAND])
        return self._upload(
            archive, container_format='docker', disk_format='raw')

    def _upload(self, file, **properties):
        image = self.cloud.image.create_image(
            f'image-{uuid.uuid4().hex}', filename=str(file), wait=True,
            img_hv_type='docker', docker_dhcp='true', **properties)
        self.addCleanup(self.cloud.image.delete_image, image)
        return image

    def _build(self, name, **options):
        return self.build(name, **{
            'image': self.image.name, 'flavor': self.flavor.name,
            'networks': [{'uuid': self.net.id}],
            'security_groups': [{'name': self.group.name}], **options})

    def _boot(self, name, **options):
        """A server with its address of IPv4."""
        server = self.wait_status(self._build(name, **options), 'ACTIVE')
        self._wait_configured(server)
        return server

    def _wait_configured(self, server):
        base.wait_for('a lease', lambda: self._inside(server) == {
            self.addresses(server)[0]})

    def _ip(self, server, *command):
        """What ip of the host's says of the server's network."""
        pid = self.container(server)['State']['Pid']
        return json.loads(self.host_of(server).run(
            'nsenter', f'--net=/proc/{pid}/ns/net', 'ip', '-json',
            *command) or '[]')

    def _inside(self, server, family='-4', which=('scope', 'global')):
        """Addresses of eth0, as a rule with a scope beyond the link."""
        return {each['local'] for link in self._ip(
            server, family, 'address', 'show', 'dev', 'eth0', *which)
            for each in link.get('addr_info', ()) if each}

    def _run(self, server, *command):
        status, output = self.execute(server, *command)
        self.assertEqual(0, status, output)
        return output

    def test_lease(self):
        """What DHCP tells is what the driver would set, and is renewed."""
        self.network.update_subnet(
            self.subnet, dns_nameservers=['192.0.2.53'], host_routes=[
                {'destination': '198.51.100.0/24', 'nexthop': '10.47.0.9'}])
        server = self._boot('server')
        routes = {each['dst']: each.get('gateway') for each in self._ip(
            server, 'route')}
        self.assertEqual('10.47.0.1', routes['default'])
        self.assertEqual('10.47.0.9', routes['198.51.100.0/24'])
        self.assertEqual('nameserver 192.0.2.53\n', self._run(
            server, 'cat', '/etc/resolv.conf'))
        self.assertEqual(
            [self.network.get_network(self.net).mtu],
            [each['mtu'] for each in self._ip(
                server, 'link', 'show', 'dev', 'eth0')])
        self.assertEqual(server.id, self.metadata(server)['uuid'])
        self._run(server, 'ip', 'address', 'flush', 'dev', 'eth0')
        self._run(server, 'sh', '-c', 'kill -USR1 $(cat /tmp/udhcpc.pid)')
        self._wait_configured(server)
        self.compute.stop_server(server)
        self.wait_status(server, 'SHUTOFF')
        self.compute.start_server(server)
        self._wait_configured(self.wait_status(server, 'ACTIVE'))

    def test_spoofing(self):
        """Root may change the interface; the port lets only its own out."""
        server, peer = self._boot('server'), self._boot('peer')
        peer_address = self.addresses(peer)[0]
        self.assert_pings(server, peer_address)
        self._run(server, 'ip', 'address', 'add', f'{_OTHER}/24', 'dev',
                  'eth0')
        self.assertFalse(self.pings(peer, _OTHER))
        [port] = self.network.ports(device_id=server.id)
        self.network.update_port(
            port, allowed_address_pairs=[{'ip_address': _OTHER}])
        self.assert_pings(peer, _OTHER)
        self._run(server, 'ip', 'link', 'set', 'eth0', 'address', _OTHER_MAC)
        self.assertFalse(self.pings(server, peer_address))
        self._run(server, 'ip', 'link', 'set', 'eth0', 'address',
                  port.mac_address)
        self.assert_pings(server, peer_address)

    @base.long_only
    def test_flavor_that_does_not_allow_it(self):
        server = self.wait_status(
            self._build('server', flavor='m1.nano'), 'ERROR')
        fault = base.wait_for('a fault', lambda: self.compute.get_server(
            server.id).fault)
        self.assertIn('docker:net_admin', fault['message'])

    def _ipv6_network(self, mode):
        """A network, and its subnet of IPv6 with a router."""
        net = self.network.create_network(name=f'net-{uuid.uuid4().hex}')
        self.addCleanup(self.network.delete_network, net)
        # Neutron's DHCP agent gets stuck at IPv6 that comes to a network
        # while it sets IPv4 up.
        subnet = self.network.create_subnet(
            network_id=net.id, cidr='fd20:6e6f:7647::/64', ip_version=6,
            ipv6_ra_mode=mode, ipv6_address_mode=mode)
        router = self.network.create_router(name=f'router-{uuid.uuid4().hex}')
        self.addCleanup(self.network.delete_router, router)
        self.network.add_interface_to_router(router, subnet_id=subnet.id)
        self.addCleanup(self.network.remove_interface_from_router, router,
                        subnet_id=subnet.id)
        return net, subnet

    def test_slaac(self):
        """The kernel makes the address of what the router advertises."""
        net, subnet = self._ipv6_network('slaac')
        self.network.create_subnet(
            network_id=net.id, cidr='10.48.0.0/24', ip_version=4)
        server = self._boot('server', networks=[{'uuid': net.id}])
        base.wait_for('an advertisement', lambda: self._inside(
            server, '-6') == {self.addresses(server)[1]})
        self.assert_pings(server, subnet.gateway_ip)

    def test_dhcpv6(self):
        """A client gets the port's address, and the same one again."""
        net, subnet = self._ipv6_network('dhcpv6-stateful')
        image = self._upload(
            debian.rootfs(), **system_image.FORMATS,
            docker_image_type='rootfs', docker_command='sleep infinity')
        server = self.wait_status(self._build(
            'server', image=image.name, networks=[{'uuid': net.id}]),
            'ACTIVE')
        self.assertEqual(set(), self._inside(server, '-6'))
        # The client sends from this address, once the kernel trusts it.
        base.wait_for('an address of the link', lambda: self._inside(
            server, '-6', ['-tentative']))
        for _time in range(2):
            self._run(server, 'timeout', '60', 'dhclient', '-6', '-1', '-v',
                      'eth0')
            self.assertEqual({*self.addresses(server)},
                             self._inside(server, '-6'))
            self.assert_pings(server, subnet.gateway_ip)
            self._run(server, 'dhclient', '-6', '-r', 'eth0')
            self.assertEqual(set(), self._inside(server, '-6'))
