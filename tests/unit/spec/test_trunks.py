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

from nova_docker.spec import ports
from nova_docker.spec import trunks

SUBNET = {'id': 's4', 'cidr': '10.2.0.0/24', 'gateway_ip': '10.2.0.1',
          'host_routes': [{'destination': '192.0.2.0/24',
                           'nexthop': '10.2.0.9'}]}
SUBNET6 = {'id': 's6', 'cidr': 'fd00:2::/64', 'gateway_ip': None,
           'host_routes': []}


def parent(port, *members):
    """A trunk's parent, with sub-ports as (id, VLAN, segmentation type)."""
    return {'id': port, 'trunk_details': {'trunk_id': 't', 'sub_ports': [
        {'port_id': each, 'segmentation_id': vlan, 'segmentation_type': kind,
         'mac_address': 'unused'} for each, vlan, kind in members]}}


def subport(port, *addresses, network='n'):
    return {'id': port, 'mac_address': f'fa:16:3e:00:00:{port}',
            'network_id': network, 'fixed_ips': [
                {'subnet_id': 's6' if ':' in each else 's4',
                 'ip_address': each} for each in addresses]}


class TrunksTest(base.BaseTestCase):

    def test_members(self):
        trunk = parent('p', ('01', 7, 'vlan'), ('02', 8, 'vlan'))
        self.assertEqual(['01', '02'], [
            each['port_id'] for each in trunks.members(trunk)])
        for port in ({'id': 'p'}, {'id': 'p', 'trunk_details': None}):
            self.assertEqual([], trunks.members(port))

    def test_unsupported(self):
        ports = [parent('p', ('01', 7, 'vlan'), ('02', 8, 'inherit')),
                 {'id': 'q'}]
        self.assertEqual(
            ['sub-port 02 of port p has the segmentation type inherit, of '
             'which only vlan is supported'], list(trunks.unsupported(ports)))
        self.assertEqual([], list(trunks.unsupported(
            [parent('p', ('01', 7, 'vlan')), {'id': 'q'}])))

    def test_models(self):
        found = trunks.models(
            [parent('p', ('01', 7, 'vlan'), ('02', 8, 'vlan'),
                    ('deleted', 9, 'vlan')), {'id': 'q'}],
            [subport('01', '10.2.0.5', 'fd00:2::5', '10.2.0.6'),
             subport('02', network='m')],
            [{'id': 'n', 'mtu': 1400}, {'id': 'm'}], [SUBNET, SUBNET6])
        self.assertEqual({'p': {7, 8}, 'q': set()},
                         {each: set(known) for each, known in found.items()})
        vif = {'id': 'p', 'address': 'fa:16:3e:00:00:00', 'network': {
            'id': 'o', 'meta': {'mtu': 1442}, 'subnets': []}}
        port, = ports.plan([vif], {}, subports=found)
        self.assertEqual((ports.SubPort(
            id='01', name='eth0.7', vlan=7, mac='fa:16:3e:00:00:01', mtu=1400,
            addresses=(ports.Address('10.2.0.5', 24, 4),
                       ports.Address('10.2.0.6', 24, 4),
                       ports.Address('fd00:2::5', 64, 6)),
            routes=(ports.Route('192.0.2.0/24', '10.2.0.9', 1000700, 4),
                    ports.Route('0.0.0.0/0', '10.2.0.1', 1000700, 4))),
            ports.SubPort(id='02', name='eth0.8', vlan=8,
                          mac='fa:16:3e:00:00:02', mtu=1442)), port.subports)
