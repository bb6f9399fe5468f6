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

import os

import fixtures
from nova import objects
from nova.pci import whitelist
from oslotest import base

from nova_docker.host import pci

PF, OTHER_PF = '0000:01:00.0', '0000:01:00.1'


class SysfsTest(base.BaseTestCase):
    """On a tree as the kernel has it."""

    def setUp(self):
        super().setUp()
        self.sys = self.useFixture(fixtures.TempDir()).path
        self._add(PF, '0x10ed')
        self._interface(PF, 'ens1')

    def _path(self, address, *names):
        return os.path.join(self.sys, 'bus/pci/devices', address, *names)

    def _add(self, address, product, physical=None, node=-1):
        os.makedirs(self._path(address))
        for name, value in (('vendor', '0x8086'), ('device', product),
                            ('numa_node', node)):
            with open(self._path(address, name), 'w') as file:
                file.write(f'{value}\n')
        if physical:
            os.symlink(f'../{physical}', self._path(address, 'physfn'))

    def _interface(self, address, name, **attributes):
        directory = self._path(address, 'net', name)
        os.makedirs(directory)
        for attribute, value in attributes.items():
            with open(os.path.join(directory, attribute), 'w') as file:
                file.write(f'{value}\n')

    def test_virtual_function(self):
        self._add('0000:01:10.3', '0x1515', PF, node=1)
        self._interface('0000:01:10.3', 'ens1v3')
        self.assertEqual([{
            'address': '0000:01:10.3', 'dev_id': 'pci_0000_01_10_3',
            'vendor_id': '8086', 'product_id': '1515',
            'label': 'label_8086_1515', 'numa_node': 1,
            'dev_type': 'type-VF', 'parent_addr': PF,
            'parent_ifname': 'ens1'}], pci.virtual_functions(self.sys))

    def test_other_devices_are_not_told(self):
        # One that is no network card's, or bound to vfio-pci.
        self._add('0000:01:10.3', '0x1515', PF)
        # A whole card, with an interface.
        self._add(OTHER_PF, '0x10ed')
        self._interface(OTHER_PF, 'ens2')
        self.assertEqual([], pci.virtual_functions(self.sys))

    def test_one_in_a_container_is_told(self):
        self._add('0000:01:10.3', '0x1515', PF)
        os.makedirs(self._path('0000:01:10.3', 'net'))
        device, = pci.virtual_functions(self.sys)
        self.assertEqual('ens1', device['parent_ifname'])
        self.assertIsNone(device['numa_node'])

    def test_card_without_an_interface(self):
        self._add(OTHER_PF, '0x10ed')
        self._add('0000:01:10.3', '0x1515', OTHER_PF)
        self._interface('0000:01:10.3', 'ens2v0')
        device, = pci.virtual_functions(self.sys)
        self.assertNotIn('parent_ifname', device)

    def test_card_that_is_a_switch(self):
        self._add(OTHER_PF, '0x10ed')
        for name, port in (('ens0', 'pf1vf0'), ('ens2', 'p1')):
            self._interface(OTHER_PF, name, phys_port_name=port,
                            phys_switch_id='2f9b')
        self._add('0000:01:10.3', '0x1515', OTHER_PF)
        self._interface('0000:01:10.3', 'ens2v0')
        device, = pci.virtual_functions(self.sys)
        self.assertEqual('ens2', device['parent_ifname'])
        self.assertEqual({'network': ['switchdev']}, device['capabilities'])

    def test_host_without_pci(self):
        self.assertEqual([], pci.virtual_functions('/nowhere'))

    def test_nova_takes_it(self):
        self._add('0000:01:10.3', '0x1515', PF)
        self._interface('0000:01:10.3', 'ens1v3', phys_switch_id='')
        device, = pci.virtual_functions(self.sys)
        specs = whitelist.Whitelist([
            '{"vendor_id": "8086", "product_id": "1515", '
            '"physical_network": "physnet1"}'])
        self.assertIsNotNone(specs.device_assignable(device))
        tracked = objects.PciDevice.create(None, dict(device))
        self.assertEqual('0000:01:10.3', tracked.address)
        self.assertEqual('ens1', tracked.extra_info['parent_ifname'])


class AcceleratorsTest(SysfsTest):

    def _node(self, address, path, name):
        directory = self._path(address, path)
        os.makedirs(directory)
        for file, text in (('dev', '226:0'),
                           ('uevent', f'MAJOR=226\nDEVNAME={name}')):
            with open(os.path.join(directory, file), 'w') as opened:
                opened.write(f'{text}\n')

    def test_device_nodes(self):
        self._add('0000:03:00.0', '0x56a0', node=1)
        self._node('0000:03:00.0', 'drm/renderD128', 'dri/renderD128')
        self._node('0000:03:00.0', 'drm/card0', 'dri/card0')
        self.assertEqual(['/dev/dri/card0', '/dev/dri/renderD128'],
                         pci.nodes('0000:03:00.0', self.sys))
        device, = pci.accelerators((), self.sys)
        self.assertEqual(
            ('0000:03:00.0', 'type-PCI', 1),
            (device['address'], device['dev_type'], device['numa_node']))
        self.assertEqual([], pci.virtual_functions(self.sys))

    def test_those_behind_a_bridge_are_others(self):
        self._add('0000:02:00.0', '0x1')
        self._node('0000:02:00.0', '0000:03:00.0/drm/card0', 'dri/card0')
        self.assertEqual([], pci.nodes('0000:02:00.0', self.sys))
        self.assertEqual([], pci.accelerators((), self.sys))

    def test_of_cdi(self):
        self._add('0000:3b:00.0', '0x20b0')
        self.assertEqual([], pci.accelerators((), self.sys))
        device, = pci.accelerators(('0000:3b:00.0',), self.sys)
        self.assertEqual('type-PCI', device['dev_type'])

    def test_functions(self):
        self._add('0000:04:00.0', '0x1')
        self._node('0000:04:00.0', 'drm/card1', 'dri/card1')
        with open(self._path('0000:04:00.0', 'sriov_totalvfs'), 'w') as file:
            file.write('7\n')
        self._add('0000:04:00.1', '0x2', '0000:04:00.0')
        self._node('0000:04:00.1', 'drm/card2', 'dri/card2')
        self.assertEqual(
            [('type-PF', None), ('type-VF', '0000:04:00.0')],
            [(device['dev_type'], device.get('parent_addr'))
             for device in pci.accelerators((), self.sys)])

    def test_network_cards_are_not_among_them(self):
        self._add('0000:05:00.0', '0x1')
        self._interface('0000:05:00.0', 'ens5')
        self._node('0000:05:00.0', 'ptp/ptp0', 'ptp0')
        self.assertEqual([], pci.accelerators((), self.sys))
