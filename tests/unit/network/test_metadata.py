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


def vifs(*networks):
    return [{'network': {'id': network}} for network in networks]


def port(network, *addresses):
    return {'network_id': network, 'fixed_ips': [
        {'ip_address': address} for address in addresses]}


class AddressesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(neutron, 'get_client', autospec=True)
        self.get_client = patch.start()
        self.addCleanup(patch.stop)
        self.list_ports = self.get_client.return_value.list_ports
        self.list_ports.return_value = {'ports': []}
        self.now = 1000.0
        self.addresses = metadata.Addresses(lambda: self.now)

    def test_one_query_for_all(self):
        self.list_ports.return_value = {'ports': [
            port('b', 'fd00::2', '10.2.0.2'), port('a', '10.1.0.2')]}
        self.assertEqual(
            {'a': '10.1.0.2', 'b': '10.2.0.2', 'c': None},
            self.addresses.get(mock.sentinel.context, vifs('a', 'b', 'c',
                                                           'a')))
        self.get_client.assert_called_once_with(mock.sentinel.context,
                                                admin=True)
        self.list_ports.assert_called_once_with(
            network_id=['a', 'b', 'c'], device_owner='network:distributed',
            fields=['network_id', 'fixed_ips'])

    def test_answers_are_kept(self):
        self.list_ports.return_value = {'ports': [port('a', '10.1.0.2')]}
        for _ in range(3):
            self.assertEqual({'a': '10.1.0.2', 'none': None},
                             self.addresses.get(None, vifs('a', 'none')))
        self.assertEqual(1, self.list_ports.call_count)

    def test_absence_is_kept_for_a_shorter_time(self):
        self.list_ports.return_value = {'ports': [port('a', '10.1.0.2')]}
        self.addresses.get(None, vifs('a', 'b'))
        self.now += 61
        self.list_ports.return_value = {'ports': [port('b', '10.2.0.2')]}
        self.assertEqual({'a': '10.1.0.2', 'b': '10.2.0.2'},
                         self.addresses.get(None, vifs('a', 'b')))
        self.assertEqual(['b'],
                         self.list_ports.call_args.kwargs['network_id'])
        self.now += 3601
        self.list_ports.return_value = {'ports': []}
        self.assertEqual({'a': None, 'b': None},
                         self.addresses.get(None, vifs('a', 'b')))

    def test_others_ask_meanwhile(self):
        self.addresses.get(None, vifs('a'))
        self.now += 59

        def answer(network_id, **kwargs):
            if network_id == ['b']:
                self.now += 2
                self.addresses.get(None, vifs('c'))
            return {'ports': []}

        self.list_ports.side_effect = answer
        # What was known when it began.
        self.assertEqual({'a': None, 'b': None},
                         self.addresses.get(None, vifs('a', 'b')))
        self.list_ports.reset_mock()
        self.assertEqual({'b': None, 'c': None},
                         self.addresses.get(None, vifs('b', 'c')))
        self.list_ports.assert_not_called()

    def test_ipv6_only_port_gives_no_ipv4_route(self):
        self.list_ports.return_value = {'ports': [port('a', 'fd00::2')]}
        self.assertEqual({'a': None}, self.addresses.get(None, vifs('a')))

    def test_failure_is_logged_and_not_kept(self):
        self.list_ports.side_effect = ConnectionError('refused')
        self.assertEqual({}, self.addresses.get(None, vifs('a')))
        self.list_ports.side_effect = None
        self.list_ports.return_value = {'ports': [port('a', '10.1.0.2')]}
        self.assertEqual({'a': '10.1.0.2'},
                         self.addresses.get(None, vifs('a')))

    def test_no_port_no_query(self):
        self.assertEqual({}, self.addresses.get(None, []))
        self.get_client.assert_not_called()
