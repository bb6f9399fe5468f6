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

import fixtures
from nova import exception
from nova.network import model
from nova import test
from nova.tests.unit import fake_instance
import os_vif
from os_vif import exception as os_vif_exception
from os_vif import objects

from nova_docker.network import sriov
from nova_docker.network import vif
from nova_docker.privsep import link

PORT = 'aaaaaaaa-1111-4222-8333-444444444444'
HOST, PARKED = 'tapaaaaaaaa-11', 'ndaaaaaaaa-111'
FUNCTION = {'pci_slot': '0000:01:10.3'}
NEW = ['delete_pair', 'unplug', 'make_pair', 'plug']


def make_vif(port=PORT, **kwargs):
    return model.VIF(**(dict(
        id=port, address='fa:16:3e:00:00:01', type='ovs',
        devname=f'tap{port[:11]}', details={'ovs_create_tap': True},
        network=model.Network(
            id='bbbbbbbb-1111-4222-8333-444444444444', bridge='br-int',
            label='private', subnets=[], mtu=1442)) | kwargs))


class VifTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        os_vif.initialize()
        self.instance = fake_instance.fake_instance_obj(None)
        self.calls = []
        self.pairs = {}
        for name in ('plug', 'unplug'):
            setattr(self, name, self._patch(os_vif, name))
        for name in ('make_pair', 'assert_pair', 'delete_pair', 'set_bridge'):
            setattr(self, name, self._patch(link, name))
        self.pair_state = self.useFixture(fixtures.MockPatchObject(
            link, 'pair_state', autospec=True,
            side_effect=lambda host, parked: self.pairs.get(
                host, link.ABSENT))).mock

    def _patch(self, module, name):
        def record(*args):
            self.calls.append(name)

        return self.useFixture(fixtures.MockPatchObject(
            module, name, autospec=True, side_effect=record)).mock

    def test_initialize(self):
        vif.initialize()
        self.pair_state.assert_called_once()

    def test_initialize_without_root(self):
        self.pair_state.side_effect = RuntimeError('no helper')
        vif.initialize()
        self.assertIn('nova_docker_privileged', self.stdlog.logger.output)

    def test_new_pair(self):
        self.assertEqual({PORT}, vif.plug(self.instance, [make_vif()]))
        # An Open vSwitch in userspace must forget the old device first.
        self.assertEqual(NEW, self.calls)
        self.make_pair.assert_called_once_with(
            HOST, PARKED, 'fa:16:3e:00:00:01', 1442, 'br-int')
        plugged, info = self.plug.call_args.args
        self.assertIsInstance(plugged, objects.vif.VIFOpenVSwitch)
        self.assertEqual(HOST, plugged.vif_name)
        self.assertTrue(plugged.port_profile.create_port)
        self.assertFalse(plugged.port_profile.create_tap)
        self.assertEqual(PORT, plugged.port_profile.interface_id)
        self.assertEqual(self.instance.uuid, info.uuid)

    def test_parked_pair_is_kept(self):
        self.pairs[HOST] = link.PARKED
        for running in (False, True):
            self.calls.clear()
            self.assertEqual({PORT}, vif.plug(
                self.instance, [make_vif()], running))
        self.assertEqual(['assert_pair', 'plug'], self.calls)

    def test_pair_of_a_running_container_is_kept(self):
        self.pairs[HOST] = link.INSIDE
        self.assertEqual(set(), vif.plug(
            self.instance, [make_vif()], running=True))
        self.assertEqual(['assert_pair', 'plug'], self.calls)

    def test_pair_in_a_dead_namespace_is_made_anew(self):
        self.pairs[HOST] = link.INSIDE
        vif.plug(self.instance, [make_vif()])
        self.assertEqual(NEW, self.calls)

    def test_hybrid_plug(self):
        vif.plug(self.instance, [make_vif(details={
            'ovs_hybrid_plug': True, 'port_filter': True})])
        self.assertEqual(NEW + ['set_bridge'], self.calls)
        self.assertIsInstance(self.plug.call_args.args[0],
                              objects.vif.VIFBridge)
        self.set_bridge.assert_called_once_with(HOST, 'qbraaaaaaaa-11')

    def test_failure_leaves_no_new_pair(self):
        self.plug.side_effect = os_vif_exception.PlugException(
            vif='v', err='no OVSDB')
        error = self.assertRaises(
            exception.VirtualInterfacePlugException, vif.plug, self.instance,
            [make_vif()])
        self.assertIn(PORT, str(error))
        self.assertIn('no OVSDB', str(error))
        self.assertEqual('delete_pair', self.calls[-1])

    def test_failure_keeps_a_live_pair(self):
        self.pairs[HOST] = link.INSIDE
        self.plug.side_effect = os_vif_exception.PlugException(
            vif='v', err='no OVSDB')
        self.assertRaises(
            exception.VirtualInterfacePlugException, vif.plug, self.instance,
            [make_vif()], True)
        self.delete_pair.assert_not_called()

    def test_device_that_cannot_be_made(self):
        self.make_pair.side_effect = OSError(1, 'not permitted')
        self.assertRaises(exception.VirtualInterfacePlugException, vif.plug,
                          self.instance, [make_vif()])
        self.plug.assert_not_called()

    def test_refused_kinds(self):
        for kind, vnic in (('unbound', 'normal'), ('binding_failed',
                           'normal'), ('hw_veb', 'direct'), ('ovs', 'direct'),
                           ('macvtap', 'macvtap'), ('nonsense', 'normal'),
                           ('bridge', 'normal'), ('tap', 'normal')):
            refused = make_vif(type=kind, vnic_type=vnic)
            error = self.assertRaises(
                exception.VirtualInterfacePlugException, vif.plug,
                self.instance, [refused])
            self.assertNotEqual('', str(error), kind)
            self.assertRaises(exception.VirtualInterfacePlugException,
                              vif.check, refused)
        self.assertRaises(
            exception.VirtualInterfacePlugException, vif.plug, self.instance,
            [make_vif(type='unbound', vnic_type='direct', profile=FUNCTION)])
        self.assertRaises(
            exception.VirtualInterfacePlugException, vif.plug, self.instance,
            [make_vif(type='vhostuser', details={
                'vhostuser_socket': '/s', 'vhostuser_ovs_plug': True})])
        self.assertEqual([], self.calls)

    def test_check_changes_nothing(self):
        vif.check(make_vif())
        self.assertEqual([], self.calls)

    def _function(self, **changes):
        for name in ('plug', 'unplug', 'check'):
            setattr(self, f'{name}_function', self.useFixture(
                fixtures.MockPatchObject(sriov, name, autospec=True)).mock)
        return make_vif(vnic_type='direct', profile=FUNCTION, **changes)

    def test_virtual_function(self):
        function = self._function(type='hw_veb')
        for parked in (True, False):
            self.plug_function.return_value = parked
            self.assertEqual({PORT} if parked else set(), vif.plug(
                self.instance, [function], True))
        self.plug_function.assert_called_with(function, True)
        vif.check(function)
        self.check_function.assert_called_once_with(function)
        vif.unplug(self.instance, [function])
        self.unplug_function.assert_called_once_with(function)
        # Neither a pair nor os-vif has to do with it.
        self.assertEqual([], self.calls)

    def test_virtual_function_of_a_card_that_is_a_switch(self):
        function = self._function()
        vif.plug(self.instance, [function])
        plugged, _info = self.plug.call_args.args
        self.assertIsInstance(plugged, objects.vif.VIFHostDevice)
        self.assertEqual(FUNCTION['pci_slot'], plugged.dev_address)
        vif.unplug(self.instance, [function])
        self.assertEqual(['plug', 'unplug'], self.calls)

    def test_card_that_refuses(self):
        function = self._function(type='hw_veb')
        self.plug_function.side_effect = OSError(95, 'not supported')
        error = self.assertRaises(
            exception.VirtualInterfacePlugException, vif.plug, self.instance,
            [function])
        self.assertIn('not supported', str(error))

    def test_unplug(self):
        vif.unplug(self.instance, [make_vif()])
        self.assertEqual(['delete_pair', 'unplug'], self.calls)
        self.delete_pair.assert_called_once_with(HOST, PARKED)

    def test_unplug_of_nothing(self):
        vif.unplug(self.instance, None)
        vif.unplug(self.instance, [])
        self.assertEqual([], self.calls)

    def test_unplug_of_an_unbound_port_removes_its_pair(self):
        vif.unplug(self.instance, [make_vif(type='unbound')])
        self.assertEqual(['delete_pair'], self.calls)

    def test_unplug_tries_all(self):
        other = make_vif('cccccccc-1111-4222-8333-444444444444')
        self.unplug.side_effect = [os_vif_exception.UnplugException(
            vif='v', err='no OVSDB'), None]
        error = self.assertRaises(
            exception.InternalError, vif.unplug, self.instance,
            [make_vif(), other])
        self.assertIn('no OVSDB', str(error))
        self.delete_pair.assert_has_calls([
            mock.call(HOST, PARKED),
            mock.call('tapcccccccc-11', 'ndcccccccc-111')])
