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

"""Trunks: a server's port, and sub-ports of other networks by VLANs on it.

The tag is the server's own affair: the back end takes it off. A kernel
without VLANs (CONFIG_VLAN_8021Q) has no interfaces for sub-ports; what the
back end does with their frames is the same.
"""

from tests.fixtures import frames
from tests.fixtures import network
from tests.integration.cloud import base


class TrunkTestCase(base.CloudTestCase):
    """Two servers that are in one network by sub-ports of their trunks."""

    def setUp(self):
        super().setUp()
        self.group = self.security_group()
        for family in ('IPv4', 'IPv6'):
            self.allow(self.group, ether_type=family)
        self.parents, _subnet = self.network_of_its_own('10.46.0.0/24')
        net, _subnet = self.network_of_its_own('10.47.0.0/24')
        # Before the trunks: what is in one can't be deleted.
        self.subports = [self.port(net), self.port(net)]

    def port(self, network):
        made = self.network.create_port(
            network_id=network.id, security_group_ids=[self.group.id])
        self.addCleanup(self.network.delete_port, made)
        return made

    def trunk(self, **members):
        """A trunk with a sub-port by the VLAN of each vlan7=PORT."""
        parent = self.port(self.parents)
        made = self.network.create_trunk(
            name='trunk', port_id=parent.id, sub_ports=self._members(members))
        self.addCleanup(self.network.delete_trunk, made)
        return made

    @staticmethod
    def _members(members):
        return [{'port_id': port.id, 'segmentation_type': 'vlan',
                 'segmentation_id': int(name.removeprefix('vlan'))}
                for name, port in members.items()]

    def add(self, trunk, **members):
        self.network.add_trunk_subports(trunk, self._members(members))

    def remove(self, trunk, port):
        self.network.delete_trunk_subports(trunk, [{'port_id': port.id}])

    def servers(self, *trunks):
        """A server with each of the trunks."""
        made = [self.build(f'server{number}',
                           networks=[{'port': trunk.port_id}])
                for number, trunk in enumerate(trunks)]
        return [self.wait_status(server, 'ACTIVE') for server in made]

    def assert_active(self, *trunks):
        """Neutron has the trunks and all of their ports as ACTIVE."""
        def states():
            found = [self.network.get_trunk(each.id) for each in trunks]
            ports = [self.network.get_port(port) for each in found
                     for port in (each.port_id, *(
                         sub['port_id'] for sub in each.sub_ports))]
            return {each.status for each in (*found, *ports)}
        base.wait_for('all are ACTIVE', lambda: states() == {'ACTIVE'})


class BackEndTest(TrunkTestCase):
    """What the network does with frames of the servers' own making."""

    def _boot(self, vlan, other_vlan):
        """Servers whose trunks get their sub-ports while they run.

        The driver has not heard of these: it makes no interface for them.
        """
        self.trunks = [self.trunk(), self.trunk()]
        servers = self.servers(*self.trunks)
        for trunk, number, port in zip(
                self.trunks, (vlan, other_vlan), self.subports, strict=True):
            self.add(trunk, **{f'vlan{number}': port})
        self.wires = [
            self.useFixture(frames.Wire(self.host_of(server).container(
                server)['State']['Pid'])) for server in servers]

    def _frame(self, payload, sender=None):
        """A datagram from the first sub-port to the second one."""
        source, target = self.subports
        return frames.udp(
            sender or source.mac_address,
            source.fixed_ips[0]['ip_address'], target.mac_address,
            target.fixed_ips[0]['ip_address'], payload)

    def _arrives(self, sent, expected, seconds=2):
        self.wires[0].send(sent)
        return self.wires[1].arrived([expected], seconds) == {expected}

    def _assert_passed_on(self, vlan, other_vlan):
        frame = self._frame(b'proper')
        base.wait_for('a proper frame', lambda: self._arrives(
            frames.tagged(frame, vlan), frames.tagged(frame, other_vlan)))
        self.assert_active(*self.trunks)
        for what, sent in (
                ('no tag', self._frame(b'untagged')),
                ('a tag of no sub-port',
                 frames.tagged(self._frame(b'another'), vlan + 1)),
                ('a MAC of no sub-port', frames.tagged(self._frame(
                    b'spoofed', 'fa:16:3e:00:00:99'), vlan))):
            bare = sent if what == 'no tag' else sent[:12] + sent[16:]
            self.wires[0].send(sent)
            self.assertEqual(set(), self.wires[1].arrived(
                [bare, *(frames.tagged(bare, each)
                         for each in (vlan, vlan + 1, other_vlan))]), what)

    def test_same_vlan(self):
        self._boot(7, 7)
        self._assert_passed_on(7, 7)

    def test_different_vlans(self):
        self._boot(7, 4094)
        self._assert_passed_on(7, 4094)
        frame = frames.tagged(self._frame(b'late'), 7)
        self.remove(self.trunks[0], self.subports[0])
        base.wait_for('removed', lambda: not self._arrives(
            frame, frames.tagged(self._frame(b'late'), 4094)))


class InterfacesTest(TrunkTestCase):
    """The interfaces that the driver makes."""

    def setUp(self):
        super().setUp()
        if not network.has_vlans():
            self.skipTest('the kernel has no VLANs (CONFIG_VLAN_8021Q)')

    def _boot(self, vlan, other_vlan):
        one, two = self.subports
        self.trunks = [self.trunk(**{f'vlan{vlan}': one}),
                       self.trunk(**{f'vlan{other_vlan}': two})]
        return self.servers(*self.trunks)

    def _assert_reaches(self, server, port, name='server1'):
        address = port.fixed_ips[0]['ip_address']
        self.assert_pings(server, address)
        self.assert_fetches(server, f'http://{address}/', f'{name}\n')

    def _link(self, server, name):
        """What ip says of an interface in a server, '' without it."""
        status, output = self.host_of(server).execute(
            server, 'ip', 'link', 'show', name)
        return '' if status else output

    def test_same_vlan(self):
        one, two = self._boot(7, 7)
        self._assert_reaches(one, self.subports[1])
        self._assert_reaches(two, self.subports[0], 'server0')
        self.assert_active(*self.trunks)
        self.assertIn(self.subports[0].mac_address, self._link(one, 'eth0.7'))

    def test_different_vlans(self):
        one, two = self._boot(7, 9)
        self._assert_reaches(one, self.subports[1])
        self._assert_reaches(two, self.subports[0], 'server0')
        self.assert_active(*self.trunks)
        self.compute.stop_server(one)
        self.wait_status(one, 'SHUTOFF')
        self.compute.start_server(one)
        self.wait_status(one, 'ACTIVE')
        self._assert_reaches(one, self.subports[1])

    def test_changed_while_it_runs(self):
        one, two = self._boot(7, 9)
        first, second = self.subports
        self.remove(self.trunks[0], first)
        self.add(self.trunks[0], vlan8=first)
        self.assertIn('eth0.7', self._link(one, 'eth0.7'))
        self.compute.reboot_server(one, 'SOFT')
        base.wait_for('eth0.8', lambda: self._link(one, 'eth0.8'))
        self.wait_status(one, 'ACTIVE')
        self.assertEqual('', self._link(one, 'eth0.7'))
        self._assert_reaches(one, second)
        self._assert_reaches(two, first, 'server0')


class NoVlansTest(TrunkTestCase):

    def test_refused(self):
        if network.has_vlans():
            self.skipTest('the kernel has VLANs')
        trunk = self.trunk(vlan7=self.subports[0])
        server = self.build('server', networks=[{'port': trunk.port_id}])
        self.wait_status(server, 'ERROR')
