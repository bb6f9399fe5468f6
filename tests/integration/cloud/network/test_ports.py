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

import openstack

from tests.integration.cloud import base


class PortsTest(base.CloudTestCase):
    """Ports of a second network that a server gets and loses."""

    policy = 'affinity'

    def setUp(self):
        super().setUp()
        self.second, self.subnet = self.network_of_its_own('10.44.0.0/24')
        # A port in use is not its owner's to delete: it goes after the server.
        self.port, self.other = (
            self._port('10.44.0.20'), self._port('10.44.0.30'))
        server, peer = self.build('server'), self.build('peer', networks=[
            {'uuid': self.second.id, 'fixed_ip': '10.44.0.10'}])
        self.server = self.wait_status(server, 'ACTIVE')
        self.peer = self.wait_status(peer, 'ACTIVE')
        self.first = {'eth0': self.addresses(self.server)[0]}

    def _port(self, address):
        port = self.network.create_port(
            network_id=self.second.id, fixed_ips=[self._fixed_ip(address)])
        self.addCleanup(self.network.delete_port, port)
        return port

    def _fixed_ip(self, address):
        return {'subnet_id': self.subnet.id, 'ip_address': address}

    def _attach(self, **request):
        return self.compute.create_server_interface(self.server, **request)

    def _detach(self, interface, left):
        """Detach an interface and wait until only others are left."""
        self.compute.delete_server_interface(interface, self.server)
        base.wait_for('it is gone', lambda: self._inside() == left)
        self._wait_networks(len(left))

    def _wait_networks(self, number):
        """Wait until Nova knows the server to be in so many networks."""
        base.wait_for(f'{number} networks', lambda: len(
            self._addresses()) == number)

    def _addresses(self):
        """Addresses as Nova knows them, by their networks."""
        return self.compute.get_server(self.server.id).addresses

    def _inside(self):
        """IPv4 addresses in the server by their interfaces."""
        status, output = self.execute(
            self.server, 'ip', '-4', '-o', 'address')
        self.assertEqual(0, status, output)
        fields = [line.split() for line in output.splitlines()]
        return {name: address.partition('/')[0]
                for _index, name, _inet, address, *_more in fields
                if name != 'lo'}

    def _assert_second(self, address):
        """eth1 has an address, by which the peer reaches the server."""
        self.assertEqual({**self.first, 'eth1': address}, self._inside())
        self.assert_pings(self.peer, address)
        self.assert_fetches(self.peer, f'http://{address}/', 'server\n')

    def _assert_unbound(self):
        """Neutron has the port as before it was attached."""
        def unbound():
            # Only the administrator sees the binding.
            now = admin.network.get_port(self.port.id)
            return (now.status, now.device_id, now.binding_vif_type) == (
                'DOWN', '', 'unbound')
        with openstack.connect(cloud='nova-docker') as admin:
            base.wait_for('the port is unbound', unbound)

    def _stop(self):
        self.compute.stop_server(self.server)
        self.wait_status(self.server, 'SHUTOFF')

    def _start(self):
        self.compute.start_server(self.server)
        self.wait_status(self.server, 'ACTIVE')

    def test_by_network(self):
        made = self._attach(net_id=self.second.id, tag='dmz')
        self._assert_second(made.fixed_ips[0]['ip_address'])
        devices = self.metadata(self.server)['devices']
        self.assertEqual([(made.mac_addr, ['dmz'])], [
            (each['mac'], each['tags']) for each in devices])
        self._detach(made, self.first)
        # Nova made it, and deletes it.
        base.wait_for('deleted', lambda: not self.network.find_port(
            made.port_id))

    def test_by_port_whose_address_changes(self):
        interface = self._attach(port_id=self.port.id)
        self._assert_second('10.44.0.20')
        base.wait_for('ACTIVE', lambda: self.network.get_port(
            self.port.id).status == 'ACTIVE')
        self.network.update_port(
            self.port, fixed_ips=[self._fixed_ip('10.44.0.40')])
        base.wait_for('Nova knows', lambda: '10.44.0.40' in str(
            self._addresses()))
        self._reboot()
        self._assert_second('10.44.0.40')
        self._detach(interface, self.first)
        self._assert_unbound()

    def _reboot(self):
        with self.another_start(self.server):
            self.compute.reboot_server(self.server, 'SOFT')

    @base.long_only
    def test_two_in_one_subnet(self):
        for port in (self.port, self.other):
            self._attach(port_id=port.id)
        for address in ('10.44.0.20', '10.44.0.30'):
            self.assert_pings(self.peer, address)
            self.assert_fetches(self.peer, f'http://{address}/', 'server\n')

    @base.long_only
    def test_stopped(self):
        self._stop()
        interface = self._attach(port_id=self.port.id)
        self._start()
        self._assert_second('10.44.0.20')
        self._stop()
        self.compute.delete_server_interface(interface, self.server)
        self._wait_networks(1)
        self._assert_unbound()
        self._start()
        self.assertEqual(self.first, self._inside())

    @base.long_only
    def test_paused(self):
        self.compute.pause_server(self.server)
        self.wait_status(self.server, 'PAUSED')
        interface = self._attach(port_id=self.port.id)
        self.compute.unpause_server(self.server)
        self.wait_status(self.server, 'ACTIVE')
        self._assert_second('10.44.0.20')
        self.compute.pause_server(self.server)
        self.wait_status(self.server, 'PAUSED')
        self.assertFalse(self.pings(self.peer, '10.44.0.20'))
        self.compute.delete_server_interface(interface, self.server)
        self._wait_networks(1)
        self._assert_unbound()
        self.compute.unpause_server(self.server)
        self.wait_status(self.server, 'ACTIVE')
        self.assertEqual(self.first, self._inside())

    @base.long_only
    def test_names_stay(self):
        """eth1 is eth1 without an eth0, however the server is started."""
        [interface] = self.compute.server_interfaces(self.server)
        self._attach(port_id=self.port.id)
        only = {'eth1': '10.44.0.20'}
        self._detach(interface, only)
        image = self.cloud.image.find_image('busybox')
        for start in (
                lambda: self.compute.reboot_server(self.server, 'SOFT'),
                lambda: self.compute.reboot_server(self.server, 'HARD'),
                lambda: (self._stop(), self._start()),
                lambda: self.compute.rebuild_server(
                    self.server, image=image.id)):
            with self.another_start(self.server):
                start()
            self.assertEqual(only, self._inside())
        self.assert_pings(self.peer, '10.44.0.20')

    @base.long_only
    def test_port_that_is_deleted_in_neutron(self):
        made = self._attach(net_id=self.second.id)
        with openstack.connect(cloud='nova-docker') as admin:
            admin.network.delete_port(made.port_id)
        self.assert_becomes(self.first, self._inside)
        self._wait_networks(1)

    @base.long_only
    def test_ports_that_the_host_lost(self):
        """Nova-compute makes them again, as it starts."""
        self._attach(port_id=self.port.id)
        host = self.host_of(self.server)
        for port in self.network.ports(device_id=self.server.id):
            device = f'tap{port.id[:11]}'
            host.run('ovs-vsctl', '--timeout=30', '--if-exists', 'del-port',
                     device)
            host.run('ip', 'link', 'delete', device)
        self.assertEqual({}, self._inside())
        host.kill('nova-compute')
        self.assert_becomes({**self.first, 'eth1': '10.44.0.20'},
                            self._inside, 120)
        self._assert_second('10.44.0.20')
        self.assert_pings(self.server, '10.20.0.1')

    @base.long_only
    def test_the_only_one(self):
        [interface] = self.compute.server_interfaces(self.server)
        self._detach(interface, {})
        made = self._attach(
            net_id=self.network.find_network('private').id)
        ipv4 = [each['ip_address'] for each in made.fixed_ips
                if '.' in each['ip_address']]
        self.assertEqual({'eth0': ipv4[0]}, self._inside())
        self.assert_pings(self.server, '10.20.0.1')
