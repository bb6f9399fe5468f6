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

from unittest import mock

from nova import exception
from nova.network import neutron
from oslotest import base

from nova_docker.network import trunks

PARENT = {'id': 'p', 'trunk_details': {'sub_ports': [
    {'port_id': 's', 'segmentation_id': 7, 'segmentation_type': 'vlan'}]}}
SUBPORT = {'id': 's', 'mac_address': 'fa:16:3e:00:00:07', 'network_id': 'n',
           'fixed_ips': [{'subnet_id': 'u', 'ip_address': '10.2.0.5'}]}


def vifs(*ids):
    return [{'id': each} for each in ids]


class TrunksTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(neutron, 'get_client', autospec=True)
        self.get_client = patch.start()
        self.addCleanup(patch.stop)
        self.client = self.get_client.return_value
        self.extend('trunk', 'trunk-details')
        self.ports = [PARENT, {'id': 'q'}, SUBPORT]
        self.client.list_ports.side_effect = lambda id, fields: {
            'ports': [each for each in self.ports if each['id'] in id]}
        self.client.list_networks.return_value = {
            'networks': [{'id': 'n', 'mtu': 1400}]}
        self.client.list_subnets.return_value = {'subnets': [
            {'id': 'u', 'cidr': '10.2.0.0/24', 'gateway_ip': None,
             'host_routes': []}]}
        self.now = 1000.0
        self.trunks = trunks.Trunks(lambda: self.now)

    def extend(self, *aliases):
        self.client.list_extensions.return_value = {
            'extensions': [{'alias': each} for each in aliases]}

    def get(self, *ids, known=()):
        return self.trunks.get(mock.sentinel.context, vifs(*ids), known)

    def asked(self):
        """How often Neutron was asked for ports since the last time."""
        count = self.client.list_ports.call_count
        self.client.list_ports.reset_mock()
        return count

    def test_sub_ports(self):
        found = self.get('q', 'p', 'q')
        self.assertEqual({}, found['q'])
        self.assertEqual(['s'], [each['id'] for each in found['p'].values()])
        vif = found['p'][7]
        self.assertEqual('fa:16:3e:00:00:07', vif['address'])
        self.assertEqual(1400, vif['network']['meta']['mtu'])
        self.get_client.assert_called_once_with(mock.sentinel.context,
                                                admin=True)
        self.assertEqual([
            mock.call(id=['p', 'q'], fields=['id', 'trunk_details']),
            mock.call(id=['s'], fields=['id', 'mac_address', 'network_id',
                                        'fixed_ips'])],
            self.client.list_ports.call_args_list)
        self.client.list_networks.assert_called_once_with(
            id=['n'], fields=['id', 'mtu'])
        self.client.list_subnets.assert_called_once_with(
            id=['u'], fields=['id', 'cidr', 'gateway_ip', 'host_routes'])

    def test_one_query_where_there_are_none(self):
        self.assertEqual({'q': {}}, self.get('q'))
        self.assertEqual(1, self.asked())
        self.client.list_networks.assert_not_called()
        self.client.list_subnets.assert_not_called()

    def test_no_query_without_the_extension_or_a_port(self):
        self.extend('router')
        for _again in range(2):
            self.assertEqual({'p': {}}, self.get('p'))
        self.assertEqual({}, self.get())
        self.assertEqual(0, self.asked())
        self.client.list_extensions.assert_called_once_with()
        # Neutron may get it.
        self.extend('trunk-details')
        self.now += 601
        self.assertEqual([7], list(self.get('p')['p']))

    def test_many(self):
        self.ports = [
            {'id': 'p', 'trunk_details': {'sub_ports': [
                {'port_id': f's{number}', 'segmentation_id': number,
                 'segmentation_type': 'vlan'} for number in range(1, 251)]}},
            *(dict(SUBPORT, id=f's{number}') for number in range(1, 251))]
        self.assertEqual(250, len(self.get('p')['p']))
        self.assertEqual(1 + 3, self.asked())

    def test_of_another_type(self):
        self.ports[0] = {'id': 'p', 'trunk_details': {'sub_ports': [
            {'port_id': 's', 'segmentation_id': 7,
             'segmentation_type': 'inherit'}]}}
        for known in ((), ('p',)):
            error = self.assertRaises(
                exception.VirtualInterfacePlugException, self.get, 'p',
                known=known)
            self.assertIn('type inherit', error.format_message())
        # With which Nova tries no other host.
        self.assertIsInstance(error, exception.InvalidInput)

    def test_neutron_is_away(self):
        for request in (self.client.list_extensions, self.client.list_ports,
                        self.client.list_subnets):
            working = request.side_effect
            request.side_effect = ConnectionError('refused')
            error = self.assertRaises(
                exception.VirtualInterfacePlugException, self.get, 'p', 'q',
                known=['q'])
            self.assertIn('p, q', error.format_message())
            self.assertIn('refused', error.format_message())
            self.assertEqual({}, self.get('p', 'q', known=['p', 'q']))
            request.side_effect = working
