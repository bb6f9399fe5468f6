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

import itertools

import fixtures
from nova import exception
from nova.network import model
from nova.pci import utils
from nova import test
import tenacity

from nova_docker.network import sriov
from nova_docker.privsep import function

ADDRESS = '0000:01:10.3'
MAC = 'fa:16:3e:00:00:01'


def make_vif(**changes):
    return model.VIF(**(dict(
        id='p', address=MAC, type='hw_veb', vnic_type='direct',
        details={'vlan': '1001'}, profile={'pci_slot': ADDRESS}) | changes))


class SriovTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            tenacity, 'wait_fixed', return_value=tenacity.wait_none()))
        self.useFixture(fixtures.MockPatchObject(sriov, '_PATIENCE', 0))
        self.function = {name: self._patch(function, name) for name in (
            'configure', 'reset', 'set_mac')}
        self.absent = exception.PciDeviceNotFoundById(id=ADDRESS)
        self.names = {False: 'ens1v3', True: 'ens1'}
        self._patch(utils, 'get_ifname_by_pci_address', self._ifname)
        self.number = self._patch(utils, 'get_vf_num_by_pci_address', [3])

    def _patch(self, module, name, effect=None):
        return self.useFixture(fixtures.MockPatchObject(
            module, name, autospec=True, side_effect=effect)).mock

    def _ifname(self, address, pf_interface=False):
        name = self.names[pf_interface]
        if isinstance(name, itertools.chain):
            name = next(name)
        if address != ADDRESS or name is None:
            raise self.absent
        return name

    def test_names(self):
        vifs = [make_vif(), make_vif(vnic_type='normal'),
                make_vif(profile={})]
        self.assertEqual({ADDRESS: 'ens1v3'}, sriov.names(vifs))
        self.names[False] = None
        self.assertEqual({}, sriov.names(vifs))

    def test_plug(self):
        self.assertTrue(sriov.plug(make_vif(), False))
        self.function['configure'].assert_called_once_with(
            'ens1', 3, MAC, 1001, False)
        self.function['set_mac'].assert_called_once_with('ens1v3', MAC)

    def test_plug_without_a_vlan_and_with_trust(self):
        sriov.plug(make_vif(details={}, profile={
            'pci_slot': ADDRESS, 'trusted': 'true'}), False)
        self.function['configure'].assert_called_once_with(
            'ens1', 3, MAC, 0, True)

    def test_plug_what_is_in_a_container(self):
        self.names[False] = None
        self.assertFalse(sriov.plug(make_vif(), True))
        self.function['configure'].assert_called_once()
        self.function['set_mac'].assert_not_called()

    def test_plug_what_is_lost(self):
        self.names[False] = None
        error = self.assertRaises(exception.VirtualInterfacePlugException,
                                  sriov.plug, make_vif(), False)
        self.assertIn(ADDRESS, str(error))
        self.assertRaises(exception.VirtualInterfacePlugException,
                          sriov.check, make_vif())
        self.function['configure'].assert_not_called()

    def test_plug_waits_for_the_end_of_a_namespace(self):
        self.useFixture(fixtures.MockPatchObject(sriov, '_PATIENCE', 60))
        self.names[False] = itertools.chain([None, None], ['ens1v3'])
        self.assertTrue(sriov.plug(make_vif(), False))

    def test_plug_waits_for_the_card(self):
        self.useFixture(fixtures.MockPatchObject(sriov, '_PATIENCE', 60))
        self.function['set_mac'].side_effect = [OSError(1, 'not yet'), None]
        self.assertTrue(sriov.plug(make_vif(), False))

    def test_card_that_refuses(self):
        self.function['set_mac'].side_effect = OSError(1, 'no')
        self.assertRaises(OSError, sriov.plug, make_vif(), False)

    def test_card_without_an_interface(self):
        self.names[True] = None
        self.assertRaises(exception.VirtualInterfacePlugException,
                          sriov.plug, make_vif(), False)

    def test_card_that_is_a_switch(self):
        self.assertTrue(sriov.plug(make_vif(type='ovs'), False))
        self.function['configure'].assert_not_called()
        self.function['set_mac'].assert_called_once_with('ens1v3', MAC)
        sriov.unplug(make_vif(type='ovs'))
        self.function['reset'].assert_not_called()

    def test_unplug(self):
        sriov.unplug(make_vif())
        self.function['reset'].assert_called_once_with('ens1', 3, MAC)

    def test_unplug_what_is_gone(self):
        self.number.side_effect = self.absent
        sriov.unplug(make_vif())
        self.function['reset'].assert_not_called()
        self.assertIn('is gone', self.stdlog.logger.output)
