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

"""A virtual function's way into a container and back, on the real kernel.

One end of a veth pair stands in for it, as few hosts have a network card with
virtual functions: the kernel moves and names both alike. What sysfs and the
kernel say of the function's PCI device is faked.
"""

import dataclasses
import os
import subprocess

import fixtures
from oslotest import base

from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.privsep import interface
from nova_docker.spec import names
from nova_docker.spec import routing
from tests.fixtures import network
from tests.fixtures import privsep
from tests.fixtures import starts
from tests.integration.network import test_gate


class StandIn(fixtures.Fixture):
    """An interface that is taken for a virtual function.

    :ivar port: of the function
    """

    def __init__(self, index=0, subnet=1):
        self.port = dataclasses.replace(
            network.make_port(index, subnet), host_device='',
            pci_address=f'0000:ff:10.{index}')
        self.port = dataclasses.replace(
            self.port, parked_device=f'v{self.port.id}'[:14])
        self._card = f'p{self.port.id}'[:14]

    def _setUp(self):
        subprocess.run(
            ['ip', 'link', 'add', self._card, 'type', 'veth', 'peer', 'name',
             self.port.parked_device], check=True)
        # It may have gone with the namespace that its peer was in.
        self.addCleanup(subprocess.run, ['ip', 'link', 'del', self._card])
        self._index = next(each['ifindex'] for each in network.links()
                           if each['ifname'] == self._card)

    def is_it(self, link):
        """Whether this link of another namespace is the function."""
        return link.get_attr('IFLA_LINK') == self._index

    def name(self):
        """Of the function, while it is on the host."""
        card = next(each for each in network.links()
                    if each['ifname'] == self._card)
        return card.get('link')


class StandIns(fixtures.Fixture):
    """Two of them, which the driver finds.

    :ivar ports: of the functions
    """

    def _setUp(self):
        self._made = [self.useFixture(StandIn(index, index + 1))
                      for index in (0, 1)]
        self.ports = [each.port for each in self._made]
        by_address = {each.port.pci_address: each for each in self._made}
        for name, fake in (
                ('_name', lambda address: by_address[address].name()),
                ('_is_function', lambda link, port: by_address[
                    port['pci_address']].is_it(link))):
            self.useFixture(fixtures.MockPatchObject(
                interface, name, autospec=True, side_effect=fake))

    def names(self):
        """Of the functions, None for those that are not on the host."""
        return [function.name() for function in self._made]


class FunctionTest(base.BaseTestCase):
    """Without an engine."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'netns')
        self.inside = self.useFixture(network.Namespace())
        self.functions = self.useFixture(StandIns())
        self.ports = self.functions.ports
        self.addCleanup(netns.release, self.path, self.ports)

    def _start(self, inside=None):
        inside = inside or self.inside
        netns.configure(inside.pid, self.ports)
        netns.route(inside.pid, self.ports)
        netns.hold(self.path, inside.pid)

    def _end(self):
        self.inside.end()
        starts.wait_until(lambda: not netns.in_use(self.path))

    def assert_set_up(self, inside):
        links = {each['ifname']: each for each in inside.ip('addr')}
        self.assertEqual({'lo', 'eth0', 'eth1'}, set(links))
        for port in self.ports:
            link = links[port.name]
            self.assertEqual(port.mac, link['address'])
            self.assertEqual(port.mtu, link['mtu'])
            self.assertIn('UP', link['flags'])
            found = {each['local'] for each in link['addr_info']}
            self.assertLessEqual(
                {each.address for each in port.addresses}, found)
        default = {each['dev'] for each in inside.ip(
            'route', 'show', 'default')}
        self.assertEqual({'eth0', 'eth1'}, default)
        tables = {each['table'] for each in inside.ip('rule')}
        self.assertLessEqual({str(table.number) for table in routing.tables(
            self.ports)}, tables)

    def assert_back(self):
        by_name = {each['ifname']: each for each in network.links()}
        for port in self.ports:
            self.assertNotIn('UP', by_name[port.parked_device]['flags'])

    def test_life(self):
        self._start()
        self.assertEqual([None, None], self.functions.names())
        self.assert_set_up(self.inside)
        # A restart of nova-compute in the middle of it.
        netns.configure(self.inside.pid, self.ports, self.ports)
        self.assert_set_up(self.inside)
        self.assertFalse(netns.set_down(self.path, self.ports))
        self._end()
        self.assertTrue(netns.set_down(self.path, self.ports))
        self.assert_back()
        self.assertTrue(netns.take_back(self.path, self.ports))
        again = self.useFixture(network.Namespace())
        self._start(again)
        self.assert_set_up(again)

    def test_start_after_an_end_that_nobody_saw(self):
        self._start()
        self._end()
        self.assertTrue(netns.take_back(self.path, self.ports))
        self.assert_back()
        self.assertFalse(os.path.exists(self.path))

    def test_release(self):
        self._start()
        self._end()
        netns.release(self.path, self.ports)
        self.assert_back()
        netns.release(self.path, self.ports)

    def test_one_leaves_a_container_that_runs(self):
        self._start()
        netns.give_back(self.path, self.ports[1:])
        netns.route(self.inside.pid, self.ports[:1], self.ports)
        self.assertEqual([None, self.ports[1].parked_device],
                         self.functions.names())
        self.assertEqual({'lo', 'eth0'}, {
            each['ifname'] for each in self.inside.ip('link')})

    def test_names_that_a_user_changed(self):
        self._start()
        for old, new in (('eth0', 'lan'), ('eth1', 'eth0')):
            for change in (('down',), ('name', new)):
                self.inside.ip('link', 'set', old, *change)
        self._end()
        self.assertTrue(netns.set_down(self.path, self.ports))
        self.assert_back()

    def test_own_name_is_taken(self):
        self._start()
        taken = self.ports[0].parked_device
        subprocess.run(['ip', 'link', 'add', taken, 'type', 'bridge'],
                       check=True)
        self.addCleanup(subprocess.run, ['ip', 'link', 'del', taken],
                        check=True)
        self._end()
        netns.release(self.path, self.ports)
        other, own = self.functions.names()
        self.assertNotIn(other, (None, taken))
        self.assertEqual(self.ports[1].parked_device, own)
        # It works as well as under its own.
        again = self.useFixture(network.Namespace())
        self._start(again)
        self.assert_set_up(again)

    def test_name_that_the_kernel_gave(self):
        """As if the kernel had given it back from a namespace that ended."""
        port = self.ports[0]
        subprocess.run(['ip', 'link', 'set', port.parked_device, 'name',
                        f'e{port.id}'[:14]], check=True)
        netns.give_back(self.path, self.ports)
        self.assertEqual([port.parked_device for port in self.ports],
                         self.functions.names())


class GateTest(test_gate.GateCase):
    """By the start gate, with an engine."""

    def setUp(self):
        super().setUp()
        self.functions = self.useFixture(StandIns())
        self.ports = self.functions.ports
        self.own = [port.parked_device for port in self.ports]

    def _park(self, instance_uuid):
        netns.take_back(plans.netns_path(self.state_dir, instance_uuid),
                        self.ports)

    def _set_down(self, instance_uuid):
        """What the driver does when the container has ended."""
        path = plans.netns_path(self.state_dir, instance_uuid)
        starts.wait_until(lambda: netns.set_down(path, self.ports))
        self.assertEqual(self.own, self.functions.names())

    def test_at_the_first_instruction_of_each_start(self):
        instance_uuid = self._spawn()
        name = names.container_name(instance_uuid)
        self._told(instance_uuid, 1)
        for port in self.ports:
            self.assertIn(f': {port.name}@', self._log(instance_uuid))
            self.assertIn(port.mac, self._log(instance_uuid))
        self.assertEqual([None, None], self.functions.names())
        self.engine.stop_container(name, 0)
        self._set_down(instance_uuid)
        # Not by Nova.
        self.by_hand.start(name)
        self._told(instance_uuid, 2)
        self.assertEqual([None, None], self.functions.names())
        self.engine.kill_container(name)
        self._set_down(instance_uuid)
