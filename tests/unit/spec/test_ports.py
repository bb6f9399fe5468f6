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

from nova.network import model
from oslotest import base

from nova_docker.spec import bandwidth
from nova_docker.spec import ports


def subnet(cidr, addresses, gateway=None, routes=(), dns=()):
    return model.Subnet(
        cidr=cidr, dns=[model.IP(address=each) for each in dns],
        gateway=model.IP(address=gateway, type='gateway'),
        ips=[model.FixedIP(address=each) for each in addresses],
        routes=[model.Route(cidr=destination, gateway=model.IP(hop))
                for destination, hop in routes])


def vif(number=1, subnets=(), network='net', mtu=1442, **kwargs):
    port = f'{number:08x}-1111-4222-8333-444444444444'
    return model.VIF(
        id=port, address=f'fa:16:3e:00:00:{number:02x}',
        devname=f'tap{port[:11]}', network=model.Network(
            id=network, bridge='br-int', subnets=list(subnets), mtu=mtu),
        **kwargs)


def routes(port):
    return [(route.destination, route.gateway, route.metric)
            for route in port.routes]


class PlanTest(base.BaseTestCase):

    def _plan(self, *vifs, metadata=None, earlier=(), subports=None):
        # As Nova stores it, to show that JSON makes no difference.
        network_info = model.NetworkInfo.hydrate(
            model.NetworkInfo(vifs).json())
        return ports.plan(network_info, metadata or {}, earlier=earlier,
                          subports=subports or {})

    def test_names_and_devices(self):
        first, second = self._plan(vif(7), vif(9, mtu=None))
        self.assertEqual('eth0', first.name)
        self.assertEqual('eth1', second.name)
        self.assertEqual([0, 1], [first.number, second.number])
        self.assertEqual('fa:16:3e:00:00:07', first.mac)
        self.assertEqual(1442, first.mtu)
        self.assertEqual(0, second.mtu)
        self.assertEqual('tap00000007-11', first.host_device)
        self.assertEqual('nd00000007-111', first.parked_device)

    def test_every_fixed_address(self):
        port, = self._plan(vif(subnets=[
            subnet('10.0.0.0/24', ['10.0.0.5', '10.0.0.6'], '10.0.0.1'),
            subnet('fd00::/64', ['fd00::5'], 'fd00::1'),
            subnet('192.0.2.0/24', [], '192.0.2.1')]))
        self.assertEqual(
            (ports.Address('10.0.0.5', 24, 4), ports.Address(
                '10.0.0.6', 24, 4), ports.Address('fd00::5', 64, 6)),
            port.addresses)
        self.assertEqual([('0.0.0.0/0', '10.0.0.1', 0),
                          ('::/0', 'fd00::1', 1024)], routes(port))

    def test_host_routes(self):
        port, = self._plan(vif(subnets=[subnet(
            '10.0.0.0/24', ['10.0.0.5'], '10.0.0.1', [
                ('192.0.2.0/24', '10.0.0.9'),
                ('198.51.100.0/24', '0.0.0.0')])]))
        self.assertEqual([('192.0.2.0/24', '10.0.0.9', 0),
                          ('198.51.100.0/24', None, 0),
                          ('0.0.0.0/0', '10.0.0.1', 0)], routes(port))

    def test_gateway_outside_of_the_subnet_comes_first(self):
        port, = self._plan(vif(subnets=[
            subnet('10.0.0.5/32', ['10.0.0.5'], '169.254.1.1'),
            subnet('fd00::/64', ['fd00::5'], 'fd01::1')]))
        self.assertEqual([('169.254.1.1/32', None, 0),
                          ('fd01::1/128', None, 1024),
                          ('0.0.0.0/0', '169.254.1.1', 0),
                          ('::/0', 'fd01::1', 1024)], routes(port))

    def test_link_local_gateway_is_on_the_link(self):
        port, = self._plan(vif(subnets=[
            subnet('fd00::/64', ['fd00::5'], 'fe80::1')]))
        self.assertEqual([('::/0', 'fe80::1', 1024)], routes(port))

    def test_no_gateway(self):
        port, = self._plan(vif(subnets=[
            subnet('10.0.0.0/24', ['10.0.0.5'])]))
        self.assertEqual([], routes(port))

    def test_several_defaults_have_different_metrics(self):
        plan = self._plan(
            vif(1, [subnet('10.0.0.0/24', ['10.0.0.5'], '10.0.0.1'),
                    subnet('10.1.0.0/24', ['10.1.0.5'], '10.1.0.1')]),
            vif(2, [subnet('10.2.0.0/24', ['10.2.0.5'], '10.2.0.1')]))
        self.assertEqual([('0.0.0.0/0', '10.0.0.1', 0),
                          ('0.0.0.0/0', '10.1.0.1', 1)], routes(plan[0]))
        self.assertEqual([('0.0.0.0/0', '10.2.0.1', 100)], routes(plan[1]))

    def test_two_ports_of_one_subnet(self):
        plan = self._plan(*(
            vif(number, [subnet(
                '10.0.0.0/24', [f'10.0.0.{number}'], '10.0.0.254',
                [('192.0.2.0/24', '10.0.0.9')])]) for number in (1, 2)))
        self.assertEqual([('192.0.2.0/24', '10.0.0.9', 0),
                          ('0.0.0.0/0', '10.0.0.254', 0)], routes(plan[0]))
        self.assertEqual([('192.0.2.0/24', '10.0.0.9', 100),
                          ('0.0.0.0/0', '10.0.0.254', 100)], routes(plan[1]))

    def test_ipv6_is_static_however_neutron_advertises_it(self):
        for mode in ('slaac', 'dhcpv6-stateless', 'dhcpv6-stateful', None):
            network = subnet('fd00::/64', ['fd00::f816:3eff:fe00:1'],
                             'fd00::1')
            network['meta']['ipv6_address_mode'] = mode
            port, = self._plan(vif(subnets=[network]))
            self.assertEqual((ports.Address(
                'fd00::f816:3eff:fe00:1', 64, 6),), port.addresses)
            self.assertEqual([('::/0', 'fd00::1', 1024)], routes(port))

    def test_ports_keep_their_names(self):
        earlier = self._plan(vif(1), vif(2), vif(3))
        plan = self._plan(vif(3), vif(4), vif(1), vif(5), earlier=earlier)
        # The second one may still be in the container, see
        # nova_docker.lifecycle.interfaces.
        self.assertEqual(['eth2', 'eth3', 'eth0', 'eth4'],
                         [port.name for port in plan])

    def test_a_port_depends_on_no_other(self):
        first, second = (
            vif(number, [subnet(f'10.{number}.0.0/24', [f'10.{number}.0.5'],
                                f'10.{number}.0.1')]) for number in (1, 2))
        earlier = self._plan(first, second)
        self.assertEqual(earlier[1:], self._plan(second, earlier=earlier))
        self.assertEqual(earlier, self._plan(first, second,
                                             earlier=earlier[1:]))

    def test_metadata_route(self):
        one = subnet('10.0.0.0/24', ['10.0.0.5'])
        vifs = vif(1, [one]), vif(2, [one])
        plan = self._plan(*vifs, metadata={vifs[0]['id']: '10.0.0.2'})
        self.assertEqual([('169.254.169.254/32', '10.0.0.2', 0)],
                         routes(plan[0]))
        self.assertEqual([], routes(plan[1]))

    def test_metadata_route_stays_where_there_is_no_answer(self):
        one = vif(1, [subnet('10.0.0.0/24', ['10.0.0.5'])])
        earlier = self._plan(one, metadata={one['id']: '10.0.0.2'})
        self.assertEqual(earlier, self._plan(one, earlier=earlier))
        port, = self._plan(one, metadata={one['id']: None}, earlier=earlier)
        self.assertEqual([], routes(port))

    def test_metadata_route_of_the_subnet_wins(self):
        one = vif(subnets=[subnet(
            '10.0.0.0/24', ['10.0.0.5'], None,
            [('169.254.169.254/32', '10.0.0.3')])])
        port, = self._plan(one, metadata={one['id']: '10.0.0.2'})
        self.assertEqual([('169.254.169.254/32', '10.0.0.3', 0)],
                         routes(port))

    def _function(self, address='0000:01:10.3'):
        return vif(1) | {'vnic_type': 'direct',
                         'profile': {'pci_slot': address}}

    def _with_functions(self, names, earlier=(), function=None):
        return ports.plan([function or self._function()], {}, earlier=earlier,
                          functions=names)

    def test_virtual_function(self):
        plan = self._with_functions({'0000:01:10.3': 'ens1v3'})
        self.assertEqual(('0000:01:10.3', 'ens1v3', '', 'eth0'), (
            plan[0].pci_address, plan[0].parked_device, plan[0].host_device,
            plan[0].name))
        self.assertEqual(plan, self._and_back(plan))
        # Inside a container, or back under what it was called there.
        for names in ({}, {'0000:01:10.3': 'dev7'}):
            self.assertEqual(plan, self._with_functions(names, plan))
        # It may get another one on another host.
        other, = self._with_functions({'0000:01:10.4': 'ens1v4'}, plan,
                                      self._function('0000:01:10.4'))
        self.assertEqual('ens1v4', other.parked_device)

    def test_virtual_function_that_nobody_has_seen_on_the_host(self):
        port, = self._with_functions({})
        self.assertEqual(ports.plan([vif(1)], {})[0].parked_device,
                         port.parked_device)

    def test_address_of_virtual_functions_only(self):
        self.assertEqual('0000:01:10.3', ports.pci_address(self._function()))
        for other in (self._function(None), {'vnic_type': 'direct'},
                      {'vnic_type': 'direct', 'profile': None},
                      self._function() | {'vnic_type': 'normal'}):
            self.assertIsNone(ports.pci_address(other))

    def _trunk(self, parent, earlier=(), **members):
        """The plan of a trunk's parent; vlan7=... is its sub-port."""
        port, = self._plan(parent, earlier=earlier, subports={
            parent['id']: {int(name.removeprefix('vlan')): each
                           for name, each in members.items()}})
        return port

    def test_sub_ports(self):
        port = self._trunk(
            vif(1, [subnet('10.0.0.0/24', ['10.0.0.5'], '10.0.0.1')]),
            vlan100=vif(2, mtu=1400),
            vlan7=vif(3, [subnet('10.2.0.0/24', ['10.2.0.5'], '10.2.0.1', [
                ('0.0.0.0/0', '10.2.0.2'), ('192.0.2.0/24', '10.2.0.9')])]))
        self.assertEqual([('eth0.7', 7), ('eth0.100', 100)], [
            (each.name, each.vlan) for each in port.subports])
        first, second = port.subports
        self.assertEqual('fa:16:3e:00:00:03', first.mac)
        self.assertEqual((ports.Address('10.2.0.5', 24, 4),), first.addresses)
        # Behind those of all ports.
        self.assertEqual([('0.0.0.0/0', '10.2.0.2', 1000700),
                          ('192.0.2.0/24', '10.2.0.9', 1000700),
                          ('0.0.0.0/0', '10.2.0.1', 1000701)], routes(first))
        self.assertEqual((1400, (), ()),
                         (second.mtu, second.addresses, second.routes))

    def test_metrics_of_two_trunks_differ(self):
        one, two = vif(1), vif(2)
        gateway = subnet('10.0.0.0/24', ['10.0.0.5'], '10.0.0.1')
        plan = self._plan(one, two, subports={
            one['id']: {4094: vif(3, [gateway])},
            two['id']: {1: vif(4, [gateway])}})
        self.assertEqual([1409400, 2000100], [
            route.metric for port in plan for each in port.subports
            for route in each.routes])

    def test_sub_port_is_not_larger_than_its_parent(self):
        for parent, own, expected in ((1400, 1442, 1400), (1442, 1400, 1400),
                                      (None, 1442, 1442), (1442, None, 1442),
                                      (None, None, 0)):
            port = self._trunk(vif(1, mtu=parent), vlan7=vif(2, mtu=own))
            self.assertEqual(expected, port.subports[0].mtu)
        # Nor one that was there before its parent's network had less.
        port = self._trunk(vif(1), vlan7=vif(2))
        self.assertEqual(1300, self._plan(
            vif(1, mtu=1300), earlier=[port])[0].subports[0].mtu)

    def test_sub_ports_stay_where_there_is_no_answer(self):
        before = self._trunk(vif(1), vlan7=vif(2))
        self.assertEqual([before], self._plan(vif(1), earlier=[before]))
        self.assertEqual((), self._trunk(vif(1), earlier=[before]).subports)

    def test_json_and_back(self):
        plan = self._plan(vif(subnets=[
            subnet('10.0.0.0/24', ['10.0.0.5'], '10.0.0.1')]))
        self.assertEqual(plan, self._and_back(plan))
        trunk = self._trunk(vif(1), vlan7=vif(2, [
            subnet('10.0.0.0/24', ['10.0.0.5'], '10.0.0.1')]))
        self.assertEqual([trunk], self._and_back([trunk]))
        plain = trunk.to_dict()
        # As privsep carries it.
        self.assertEqual(plain, json.loads(json.dumps(plain)))

    @staticmethod
    def _and_back(plan):
        text = json.dumps([port.to_dict() for port in plan])
        return [ports.Port.from_dict(port) for port in json.loads(text)]

    def test_limits(self):
        limits = bandwidth.of_flavor({'quota:vif_inbound_average': '9'})
        plan = ports.plan([vif(1), vif(2)], {}, limits)
        self.assertEqual([limits, limits], [port.limits for port in plan])
        self.assertEqual(plan, self._and_back(plan))

    def test_addresses_that_the_instance_finds_itself(self):
        subnets = [subnet('10.0.0.0/24', ['10.0.0.5'], '10.0.0.1')]
        both = [*subnets, subnet('fd00::/64', ['fd00::5'])]
        vifs = [vif(1, subnets), vif(2, both)]
        plan = ports.plan(vifs, {'net': '10.0.0.2'}, dhcp=True,
                          subports={vifs[0]['id']: {7: vif(3, both)}})
        for _again in range(2):
            self.assertEqual(
                [((), (), False), ((), (), True), ((), (), True)],
                [(port.addresses, port.routes, port.ipv6)
                 for port in (*plan, *plan[0].subports)])
            self.assertEqual(['eth0', 'eth1'], [port.name for port in plan])
            self.assertEqual(plan, self._and_back(plan))
            plan = ports.plan(vifs, {}, earlier=plan, dhcp=True)

    def test_plan_of_before_there_were_limits_and_sub_ports(self):
        plan = self._plan(vif())
        plain = plan[0].to_dict()
        del plain['limits'], plain['pci_address'], plain['subports']
        self.assertEqual(plan[0], ports.Port.from_dict(plain))

    def test_from_dict_refuses_other_versions(self):
        plain = self._plan(vif())[0].to_dict()
        self.assertRaises(TypeError, ports.Port.from_dict,
                          dict(plain, colour='red'))
        del plain['routes']
        self.assertRaises(KeyError, ports.Port.from_dict, plain)


class AddressTest(base.BaseTestCase):

    def test_ipv4_first(self):
        one = subnet('fd00::/64', ['fd00::5'])
        two = subnet('10.2.0.0/24', ['10.2.0.5', '10.2.0.6'])
        self.assertEqual('10.2.0.5', ports.address([vif(1, [one, two])]))
        self.assertEqual('fd00::5', ports.address([vif(1, [one])]))

    def test_none(self):
        self.assertIsNone(ports.address([]))
