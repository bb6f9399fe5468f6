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

from oslotest import base

from nova_docker.spec import resolver
from tests.unit.spec import test_ports

subnet, vif = test_ports.subnet, test_ports.vif


class DnsTest(base.BaseTestCase):

    def test_servers_once_and_in_order(self):
        one = subnet('10.0.0.0/24', ['10.0.0.5'], dns=['9.9.9.9', '1.1.1.1'])
        two = subnet('fd00::/64', ['fd00::5'], dns=['2620:fe::fe'])
        three = subnet('10.2.0.0/24', ['10.2.0.5'], dns=['1.1.1.1'])
        self.assertEqual(
            (['9.9.9.9', '1.1.1.1', '2620:fe::fe'], ['.'], []),
            resolver.dns([vif(1, [one, two]), vif(2, [three])]))

    def test_nothing_of_the_host_without_servers(self):
        self.assertEqual((['127.0.0.1'], ['.'], []), resolver.dns([vif()]))
        self.assertEqual((['127.0.0.1'], ['.'], []), resolver.dns([]))

    def test_dhcp_server_serves_names_where_nobody_else_does(self):
        one = subnet('10.0.0.0/24', ['10.0.0.5'])
        one['meta']['dhcp_server'] = '10.0.0.2'
        two = subnet('10.1.0.0/24', ['10.1.0.5'], dns=['9.9.9.9'])
        two['meta']['dhcp_server'] = '10.1.0.2'
        self.assertEqual(['10.0.0.2', '9.9.9.9'],
                         resolver.dns([vif(1, [one, two])])[0])
