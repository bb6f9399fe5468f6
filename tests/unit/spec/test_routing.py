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

import dataclasses
import json

from oslotest import base

from nova_docker.spec import ports
from nova_docker.spec import routing

FIRST = ports.Port(
    'p', 'eth0', 'fa:16:3e:00:00:01', 1442, 'tapp', 'ndp',
    (ports.Address('10.0.0.5', 24, 4), ports.Address('10.0.0.6', 24, 4)),
    (ports.Route('0.0.0.0/0', '10.0.0.1', 0, 4),))
SECOND = ports.Port(
    'q', 'eth1', 'fa:16:3e:00:00:02', 1442, 'tapq', 'ndq',
    (ports.Address('10.0.0.7', 24, 4), ports.Address('fd00::7', 64, 6)),
    (ports.Route('169.254.169.254/32', '10.0.0.2', 100, 4),
     ports.Route('0.0.0.0/0', '10.0.0.1', 100, 4),
     ports.Route('::/0', 'fe80::1', 1124, 6)))
TRUNK = dataclasses.replace(SECOND, subports=(
    ports.SubPort('s', 'eth1.42', 42, 'fa:16:3e:00:00:03', 1442,
                  (ports.Address('10.2.0.5', 24, 4),),
                  (ports.Route('0.0.0.0/0', '10.2.0.1', 2004200, 4),)),
    ports.SubPort('t', 'eth1.43', 43, 'fa:16:3e:00:00:04', 1442)))


class TablesTest(base.BaseTestCase):

    def test_of_each_port_with_its_routes_only(self):
        first, second = routing.tables([FIRST, SECOND])
        self.assertEqual((20000, 20000, 'tapp', 0, FIRST.addresses, (
            # Once, though there are two addresses in it.
            ports.Route('10.0.0.0/24', None, 0, 4),
            ports.Route('0.0.0.0/0', '10.0.0.1', 0, 4)), None),
            tuple(vars(first).values()))
        self.assertEqual((20001, 20001, 'tapq', 0, SECOND.addresses, (
            ports.Route('10.0.0.0/24', None, 0, 4),
            ports.Route('fd00::/64', None, 256, 6),
            ports.Route('fe80::/64', None, 256, 6), *SECOND.routes), None),
            tuple(vars(second).values()))

    def test_of_a_virtual_function(self):
        function = dataclasses.replace(SECOND, pci_address='0000:01:10.3')
        self.assertEqual([None, '0000:01:10.3'], [
            table.pci_address for table in routing.tables([FIRST, function])])

    def test_none_for_a_single_port(self):
        self.assertEqual([], routing.tables([]))
        self.assertEqual([], routing.tables([SECOND]))
        bare = dataclasses.replace(FIRST, addresses=(), routes=())
        self.assertEqual([], routing.tables([bare, SECOND]))

    def test_of_sub_ports(self):
        # One without an address needs none.
        _port, table = routing.tables([TRUNK])
        self.assertEqual(routing.Table(
            200010042, 20001, 'tapq', 42,
            (ports.Address('10.2.0.5', 24, 4),), (
                ports.Route('10.2.0.0/24', None, 0, 4),
                ports.Route('0.0.0.0/0', '10.2.0.1', 2004200, 4))), table)
        self.assertEqual([], routing.tables([
            dataclasses.replace(TRUNK, addresses=())]))

    def test_number_is_of_the_name_and_not_of_the_place(self):
        third = dataclasses.replace(FIRST, name='eth2')
        self.assertEqual([20002, 20001], [
            table.number for table in routing.tables([third, SECOND])])

    def test_address_without_a_subnet_is_on_no_link(self):
        alone = dataclasses.replace(FIRST, addresses=(
            ports.Address('10.0.0.5', 32, 4),
            ports.Address('fd00::5', 128, 6)), routes=(
                ports.Route('10.0.0.1/32', None, 0, 4),
                ports.Route('0.0.0.0/0', '10.0.0.1', 0, 4)))
        table, _other = routing.tables([alone, SECOND])
        self.assertEqual([*alone.routes], [
            route for route in table.routes if route.version == 4])
        self.assertEqual(['fe80::/64'], [
            route.destination for route in table.routes
            if route.version == 6])

    def test_plain(self):
        table = routing.tables([FIRST, SECOND])[1].to_dict()
        self.assertEqual(table, json.loads(json.dumps(table)))
        self.assertEqual({'address': '10.0.0.7', 'prefixlen': 24,
                          'version': 4}, table['addresses'][0])
