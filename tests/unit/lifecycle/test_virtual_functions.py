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

"""Ports that are virtual functions, through the life of an instance."""

from unittest import mock

import fixtures
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.network import plans
from nova_docker.privsep import link
from nova_docker.spec import requests
from tests.fixtures import starts
from tests.unit.lifecycle import base

FIRST, SECOND = '0000:01:10.1', '0000:01:10.2'


class FunctionsTestCase(base.LifecycleTestCase):
    """A host with two virtual functions, one of them claimed for a port."""

    def setUp(self):
        super().setUp()
        self.kernel.functions.update({FIRST: 'ens1v1', SECOND: 'ens1v2'})
        self.claim(FIRST)
        self.bind(self.network_info[0], FIRST)
        self.useFixture(fixtures.MockPatchObject(
            objects.InstanceInfoCache, 'refresh', autospec=True))

    def claim(self, *addresses):
        self.instance.pci_devices = objects.PciDeviceList(objects=[
            objects.PciDevice(address=address) for address in addresses])

    @staticmethod
    def bind(vif, address):
        """What Neutron's SR-IOV driver makes of a port."""
        vif.update(type='hw_veb', vnic_type='direct', devname=None,
                   details={'vlan': '1001'}, profile={'pci_slot': address})

    def assert_inside(self, address=FIRST):
        self.assertEqual(link.INSIDE, self.kernel.functions[address])
        self.assertEqual(('fa:16:3e:00:00:01', 1001, False),
                         self.kernel.cards[int(address[-1])])

    def assert_back(self):
        self.assertEqual({FIRST: 'ens1v1', SECOND: 'ens1v2'},
                         self.kernel.functions)


class LifeTest(FunctionsTestCase):

    def test_spawn(self):
        self.spawn()
        self.assert_inside()
        self.assertEqual('ens1v2', self.kernel.functions[SECOND])
        self.assertEqual({}, self.kernel.pairs)
        self.assertEqual(set(), self.kernel.plugged)
        port = self.kernel.configured['eth0']
        self.assertEqual((FIRST, 'ens1v1'), (
            port['pci_address'], port['parked_device']))

    def test_neutron_is_not_waited_for(self):
        self.network_info[0]['active'] = False
        with mock.patch.object(self.services.virtapi,
                               'wait_for_instance_event',
                               autospec=True) as wait:
            self.spawn()
        self.assertEqual([], wait.call_args.args[1])

    def test_stop_and_start(self):
        self.spawned((self.power_off,))
        self.assert_back()
        self.power_on()
        self.assert_inside()
        self.assertEqual(['take_back', 'release', 'configure', 'hold'],
                         [step for step in self.steps()
                          if 'container' not in step])

    def test_reboot(self):
        self.spawn()
        for kind in ('HARD', 'SOFT'):
            self.reboot(kind)
            self.assert_inside()
        self.assertEqual('ens1v1',
                         self.kernel.configured['eth0']['parked_device'])

    def test_container_that_ends(self):
        self.spawn()
        self.engine.exit(self.container['Id'])
        starts.wait_until(
            lambda: self.kernel.functions[FIRST] == 'ens1v1')
        self.assertIsNone(self.foreign_start().exception(60))
        self.assert_inside()

    def test_end_that_nobody_saw(self):
        self.spawn()
        self.driver.cleanup_host('host1')
        self.engine.exit(self.container['Id'])
        self.assertEqual(link.INSIDE, self.kernel.functions[FIRST])
        self.driver = self.compute.driver()
        self.driver.plug_vifs(self.instance, self.network_info)
        self.assert_back()

    def test_restart_of_nova_compute(self):
        self.spawn()
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        self.compute.steps.clear()
        self.driver.plug_vifs(self.instance, self.network_info)
        self.assert_inside()
        self.assertEqual([], self.steps())

    def test_destroy(self):
        self.spawned()
        self.destroy()
        self.assert_back()
        self.assertEqual({}, self.kernel.cards)
        self.assertEqual(set(), plans.instances(self.compute.state_dir))

    def test_removed_while_nova_compute_was_away(self):
        self.spawn()
        self.driver.cleanup_host('host1')
        self.engine.remove_container(self.container['Id'])
        self.driver = self.compute.driver()
        self.assert_back()

    def test_tracker_knows_them(self):
        self.compute.pci.return_value = [{'address': FIRST}]
        found = self.driver.get_available_resource('host1')
        self.assertEqual('[{"address": "0000:01:10.1"}]',
                         found['pci_passthrough_devices'])


class RefusalTest(FunctionsTestCase):

    def test_not_claimed(self):
        self.claim(SECOND)
        reason, = requests.of_ports(self.network_info, self.instance)
        error = self.assertRaises(exception.BuildAbortException, self.spawn)
        self.assertIn(reason, str(error))
        self.assert_back()

    def test_host_without_virtual_functions(self):
        self.useFixture(fixtures.MockPatch(
            'nova_docker.network.sriov._PATIENCE', 0))
        self.kernel.functions.clear()
        error = self.assertRaises(exception.VirtualInterfacePlugException,
                                  self.spawn)
        self.assertIn(FIRST, str(error))
        self.assertIsNone(self.container)

    def test_failed_start(self):
        self.spawned((self.power_off,))
        self.engine.fail_next('start_container', errors.BadRequest('?', 400))
        self.assertRaises(exception.NovaException, self.power_on)
        self.assert_back()
        self.assertEqual({}, self.kernel.cards)
        self.power_on()
        self.assert_inside()

    def test_failed_spawn(self):
        self.kernel.fail_next('configure', OSError('?'))
        self.assertRaises(exception.VirtualInterfacePlugException, self.spawn)
        self.assert_back()
        self.assertEqual({}, self.kernel.cards)


class AttachTest(FunctionsTestCase):

    def attach(self, *claimed):
        self.claim(FIRST, *claimed)
        self.attached = base.make_vif(uuids.second)
        self.bind(self.attached, SECOND)
        self.driver.attach_interface(
            self.context, self.instance, self.image_meta, self.attached)
        self.network_info.append(self.attached)

    def test_attach_and_detach(self):
        self.spawn()
        self.attach(SECOND)
        self.assert_inside(SECOND)
        self.assertEqual(SECOND,
                         self.kernel.configured['eth1']['pci_address'])
        self.assertEqual([FIRST, SECOND], [
            self.kernel.tables[number]['pci_address']
            for number in (20000, 20001)])
        self.driver.detach_interface(
            self.context, self.instance, self.attached)
        self.assertEqual('ens1v2', self.kernel.functions[SECOND])
        self.assertNotIn(2, self.kernel.cards)
        self.assert_inside()

    def test_to_a_stopped_instance(self):
        self.spawned((self.power_off,))
        self.attach(SECOND)
        self.assert_back()
        self.power_on()
        self.assert_inside()
        self.assert_inside(SECOND)

    def test_not_claimed(self):
        self.spawned()
        for verb in (lambda: None, self.power_off):
            verb()
            error = self.assertRaises(
                exception.VirtualInterfacePlugException, self.attach)
            self.assertEqual(
                next(requests.of_ports([self.attached], self.instance)),
                str(error))

    def test_stopped_and_not_on_this_host(self):
        self.spawned((self.power_off,))
        del self.kernel.functions[SECOND]
        self.assertRaises(exception.VirtualInterfacePlugException,
                          self.attach, SECOND)

    def test_failure_leaves_nothing(self):
        self.spawn()
        self.kernel.fail_next('configure', OSError('?'))
        self.assertRaises(exception.InterfaceAttachFailed, self.attach,
                          SECOND)
        self.assertEqual('ens1v2', self.kernel.functions[SECOND])
        self.assertNotIn(2, self.kernel.cards)

    def test_detach_that_fails(self):
        self.spawn()
        self.attach(SECOND)
        self.kernel.fail_next('give_back', OSError('?'))
        self.assertRaises(
            exception.InterfaceDetachFailed, self.driver.detach_interface,
            self.context, self.instance, self.attached)
        self.assert_inside(SECOND)
