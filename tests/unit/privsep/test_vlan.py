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

import errno

from oslotest import base

from nova_docker.privsep import vlan
from nova_docker.spec import ports
from tests.fixtures import netlink

PARENT = ports.Port('p', 'eth0', 'fa:16:3e:00:00:01', 1442, 'tapp', 'ndp')


def subport(port, number):
    return ports.SubPort(
        port, f'eth0.{number}', number, 'fa:16:3e:00:00:02', 1442).to_dict()


def parent(*subports):
    return PARENT.to_dict() | {'subports': list(subports)}


def link(index, number, kind='vlan', on=6, **attributes):
    return netlink.Link(index, f'own{index}', kind, IFLA_LINK=on,
                        IFLA_VLAN_ID=number, **attributes)


class VlanTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.fake = self.useFixture(netlink.FakeIPRoute(
            netlink.Link(6, 'eth0', 'veth'), link(20, 7), link(21, 8)))

    def have(self, port, before=None):
        return vlan.have(self.fake.ip, 'eth0', port, before)

    def test_on(self):
        self.fake.links += [
            link(22, 9, on=5), link(23, None, kind='macvlan'),
            # On a link of another namespace.
            link(24, 10, IFLA_LINK_NETNSID=0)]
        self.assertEqual({7: 20, 8: 21}, {
            number: each['index']
            for number, each in vlan.on(self.fake.ip, 6).items()})

    def test_remove(self):
        self.fake.links.append(link(22, 9, on=5))
        vlan.remove(self.fake.ip, 6)
        self.assertEqual([('link', 'del', {'index': 20}),
                          ('link', 'del', {'index': 21})], self.fake.calls)

    def test_made(self):
        one, two = subport('s', 9), subport('t', 10)
        self.assertEqual([('eth0.9', one, None), ('eth0.10', two, None)],
                         self.have(parent(one, two)))
        self.assertEqual([
            ('link', 'add', {'ifname': f'eth0.{number}', 'kind': 'vlan',
                             'link': 6, 'vlan_id': number})
            for number in (9, 10)], self.fake.calls)

    def test_what_is_there_is_kept(self):
        old, new = subport('s', 7), subport('s', 7) | {'mtu': 1400}
        # Its user has renamed it.
        self.assertEqual([('own20', new, old)],
                         self.have(parent(new), parent(old)))
        self.assertEqual([], self.fake.calls)

    def test_no_more_wanted(self):
        # Those of the container's root are not ours to remove.
        self.assertEqual([], self.have(parent(), parent(
            subport('s', 7), subport('gone', 30))))
        self.assertEqual([('link', 'del', {'index': 20})], self.fake.calls)

    def test_vlan_that_changes(self):
        moved, other = subport('s', 9), subport('t', 7)
        self.assertEqual(
            [('eth0.9', moved, None), ('eth0.7', other, None)],
            self.have(parent(moved, other), parent(subport('s', 7))))
        self.assertEqual([('del', 20), ('add', 9), ('add', 7)], [
            (command, arguments.get('index') or arguments['vlan_id'])
            for _link, command, arguments in self.fake.calls])

    def test_no_trunk(self):
        self.fake.ip.get_links = None
        self.assertEqual([], self.have(parent(), parent()))

    def test_kernel_without_vlans(self):
        self.fake.errors['link', 'add'] = errno.EOPNOTSUPP
        error = self.assertRaises(OSError, self.have,
                                  parent(subport('s', 9)))
        self.assertEqual(errno.EOPNOTSUPP, error.errno)
        self.assertIn('VLAN interface eth0.9', str(error))
