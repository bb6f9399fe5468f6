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


class RefusalsTest(base.CloudTestCase):
    """Ports that a server cannot have: said so, and nothing is left."""

    def setUp(self):
        super().setUp()
        self.net, self.subnet = self.network_of_its_own('10.48.0.0/24')
        self.admin = openstack.connect(cloud='nova-docker')
        self.addCleanup(self.admin.close)

    def _port(self, network=None, net=None, **options):
        network = network or self.network
        port = network.create_port(
            network_id=(net or self.net).id, **options)
        self.addCleanup(network.delete_port, port)
        return port

    def _assert_refused(self, status, words, server, **request):
        """The server cannot have what the request names."""
        error = self.assertRaises(
            openstack.exceptions.HttpException,
            self.compute.create_server_interface, server, **request)
        self.assertEqual(status, error.status_code, error)
        self.assertIn(words, str(error))

    def _assert_free(self, port):
        """Neutron has a port as before."""
        def read():
            now = self.admin.network.get_port(port.id)
            return (now.device_id, now.device_owner, now.binding_host_id,
                    now.binding_vif_type)
        self.assert_becomes(('', '', '', 'unbound'), read)

    def _ports(self, server):
        """Ports of the server's host, but for those of DHCP servers."""
        return self.host_of(server).ports() - {
            f'tap{port.id[:11]}' for port in
            self.admin.network.ports(device_owner='network:dhcp')}

    def test_attach(self):
        server, other = [self.wait_status(each, 'ACTIVE') for each in [
            self.build('server'), self.build('other')]]
        before = self._ports(server)
        theirs, _subnet = self.network_of_its_own('10.49.0.0/24', self.admin)
        foreign = self._port(self.admin.network, theirs)
        self._assert_refused(404, foreign.id, server, port_id=foreign.id)
        self._assert_free(foreign)
        [used] = self.network.ports(device_id=other.id)
        self._assert_refused(409, 'in use', server, port_id=used.id)
        self.assertEqual(other.id,
                         self.network.get_port(used.id).device_id)
        # Nova's API has no answer of its own to this one.
        self._assert_refused(500, 'InvalidInput', server, net_id=self.net.id,
                             fixed_ips=[{'ip_address': '10.99.0.1'}])
        self.assert_becomes([], lambda: [
            port for port in self.network.ports(network_id=self.net.id)
            if port.device_owner.startswith('compute:')])
        self.assertEqual(1, len(list(self.compute.server_interfaces(server))))
        self.assertEqual(before, self._ports(server))
        self.assert_pings(server, '10.20.0.1')

    def test_deleted_server(self):
        server = self.create('server')
        port = self._port()
        self.delete(server)
        self._assert_refused(404, server.id, server, port_id=port.id)
        self._assert_free(port)

    def test_mac_in_use(self):
        port = self._port()
        error = self.assertRaises(
            openstack.exceptions.ConflictException,
            self.network.create_port, network_id=self.net.id,
            mac_address=port.mac_address)
        self.assertIn(port.mac_address, str(error))

    def test_boot(self):
        """The port is the user's again before the server is deleted."""
        port = self._port(binding_vnic_type='direct')
        server = self.build('server', networks=[{'port': port.id}])
        server = self.wait_status(server, 'ERROR')
        self._assert_free(port)
        self.assertEqual([], self.containers(server))
