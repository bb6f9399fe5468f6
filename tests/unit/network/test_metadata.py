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

from nova.network import neutron
from oslotest import base

from nova_docker.network import metadata


def vif(network, address='10.0.0.5', gateway='10.0.0.1', name='port'):
    """A VIF as Nova stores it, with one subnet."""
    cidr = '10.0.0.0/24' if '.' in address else 'fd00::/64'
    return {'id': name, 'network': {'id': network, 'subnets': [{
        'cidr': cidr, 'ips': [{'address': address}],
        'gateway': gateway and {'address': gateway}}]}}


def port(network, owner, *addresses):
    return {'network_id': network, 'device_owner': f'network:{owner}',
            'fixed_ips': [{'ip_address': each} for each in addresses]}


class AddressesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(neutron, 'get_client', autospec=True)
        self.get_client = patch.start()
        self.addCleanup(patch.stop)
        self.list_ports = self.get_client.return_value.list_ports
        self.now = 1000.0
        self.addresses = metadata.Addresses(lambda: self.now)
        self.found()

    def found(self, *ports):
        self.list_ports.return_value = {'ports': list(ports)}

    def get(self, *vifs):
        return self.addresses.get(mock.sentinel.context, vifs)

    def test_one_query_for_all(self):
        self.found(port('b', 'distributed', 'fd00::2', '10.0.0.2'),
                   port('a', 'distributed', '10.0.0.3'))
        self.assertEqual(
            {'1': '10.0.0.3', '2': '10.0.0.2', '3': None, '4': '10.0.0.3'},
            self.get(*(vif(network, name=name) for name, network in zip(
                '1234', 'abca', strict=True))))
        self.get_client.assert_called_once_with(mock.sentinel.context,
                                                admin=True)
        self.list_ports.assert_called_once_with(
            network_id=['a', 'b', 'c'], device_owner=[
                'network:distributed', 'network:dhcp',
                'network:router_interface',
                'network:router_interface_distributed',
                'network:ha_router_replicated_interface'],
            fields=['network_id', 'device_owner', 'fixed_ips'])

    def test_dhcp_server_where_there_is_no_router(self):
        self.found(port('a', 'dhcp', 'fd00::2', '10.0.0.2'))
        self.assertEqual({'port': '10.0.0.2'}, self.get(vif('a')))
        self.assertEqual({'port': '10.0.0.2'},
                         self.get(vif('a', gateway=None)))

    def test_router_that_is_not_the_gateway(self):
        self.found(port('a', 'dhcp', '10.0.0.2'),
                   port('a', 'router_interface', '10.0.0.9'))
        self.assertEqual({'port': '10.0.0.2'}, self.get(vif('a')))

    def test_default_route_to_a_router(self):
        for kind in ('router_interface', 'router_interface_distributed',
                     'ha_router_replicated_interface'):
            self.found(port('a', 'dhcp', '10.0.0.2'),
                       port('a', kind, '10.0.0.1'))
            self.assertEqual({'port': None}, self.get(vif('a')))
            self.now += 11

    def test_ovn_serves_beside_routers_and_dhcp_servers(self):
        self.found(port('a', 'router_interface', '10.0.0.1'),
                   port('a', 'dhcp', '10.0.0.2'),
                   port('a', 'distributed', '10.0.0.3'))
        self.assertEqual({'port': '10.0.0.3'}, self.get(vif('a')))

    def test_dhcp_server_of_another_subnet(self):
        self.found(port('a', 'dhcp', '10.9.0.2'))
        self.assertEqual({'port': None}, self.get(vif('a')))

    def test_no_ipv4(self):
        self.found(port('a', 'dhcp', 'fd00::2'),
                   port('b', 'distributed', 'fd00::3'))
        self.assertEqual({'port': None}, self.get(vif('a', 'fd00::5')))
        self.assertEqual({'port': None}, self.get(vif('b', 'fd00::5')))

    def test_answers_are_kept(self):
        self.found(port('a', 'dhcp', '10.0.0.2'))
        for _ in range(3):
            self.assertEqual({'port': '10.0.0.2'}, self.get(vif('a')))
        self.assertEqual(1, self.list_ports.call_count)

    def test_what_may_change_is_kept_for_a_shorter_time(self):
        one, two = vif('a', name='1'), vif('b', name='2')
        self.found(port('a', 'distributed', '10.0.0.2'))
        self.assertEqual({'1': '10.0.0.2', '2': None}, self.get(one, two))
        self.now += 11
        self.found(port('b', 'distributed', '10.0.0.3'))
        self.assertEqual({'1': '10.0.0.2', '2': '10.0.0.3'},
                         self.get(one, two))
        self.assertEqual(['b'],
                         self.list_ports.call_args.kwargs['network_id'])
        self.now += 3601
        self.found()
        self.assertEqual({'1': None, '2': None}, self.get(one, two))

    def test_others_ask_meanwhile(self):
        self.get(vif('a'))
        self.now += 9

        def answer(network_id, **kwargs):
            if network_id == ['b']:
                self.now += 2
                self.get(vif('c'))
            return {'ports': []}

        self.list_ports.side_effect = answer
        # What was known when it began.
        self.assertEqual({'1': None, '2': None},
                         self.get(vif('a', name='1'), vif('b', name='2')))
        self.list_ports.reset_mock()
        self.assertEqual({'2': None, '3': None},
                         self.get(vif('b', name='2'), vif('c', name='3')))
        self.list_ports.assert_not_called()

    def test_failure_is_logged_and_not_kept(self):
        self.list_ports.side_effect = ConnectionError('refused')
        self.assertEqual({}, self.get(vif('a')))
        self.list_ports.side_effect = None
        self.found(port('a', 'dhcp', '10.0.0.2'))
        self.assertEqual({'port': '10.0.0.2'}, self.get(vif('a')))

    def test_no_port_no_query(self):
        self.assertEqual({}, self.get())
        self.get_client.assert_not_called()
