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

"""Ports that are attached, detached, changed behind Nova, plugged again."""

import os
from unittest import mock

import fixtures
from nova.compute import vm_states
from nova import exception
from nova.network import model
from nova import objects
from os_vif import exception as os_vif_exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.network import plans
from nova_docker.privsep import link
from nova_docker.spec import names
from nova_docker.spec import requests
from tests.unit.lifecycle import base


class InterfacesTestCase(base.LifecycleTestCase):
    """Attach and detach, with the network model as Nova keeps it."""

    def setUp(self):
        super().setUp()
        # As if another request had changed nothing in the database.
        self.refresh = self.useFixture(fixtures.MockPatchObject(
            objects.InstanceInfoCache, 'refresh', autospec=True)).mock

    def attach(self, port=uuids.second, **changes):
        vif = base.make_vif(port)
        vif.update(address='fa:16:3e:00:00:02', **changes)
        # Nova has it in its cache before it asks the driver.
        self.network_info = model.NetworkInfo([*self.network_info, vif])
        self.instance.info_cache.network_info = self.network_info
        self.driver.attach_interface(
            self.context, self.instance, self.image_meta, vif)
        return vif

    def detach(self, port=uuids.second):
        vif, = (each for each in self.network_info if each['id'] == port)
        self.driver.detach_interface(self.context, self.instance, vif)
        self.forget(vif)

    def forget(self, vif):
        """What Nova does with a port that is not attached (any more)."""
        self.network_info = model.NetworkInfo(
            [each for each in self.network_info if each is not vif])
        self.instance.info_cache.network_info = self.network_info

    def planned(self):
        return {port.id: port.name for port in plans.read(
            self.compute.state_dir, uuids.instance)}

    def inside(self):
        """Ids of ports whose interfaces are in the container."""
        return {port for port in (uuids.port, uuids.second, uuids.third)
                if self.kernel.pairs.get(
                    names.host_device(port, f'tap{port[:11]}')) ==
                link.INSIDE}


class AttachTest(InterfacesTestCase):

    def test_to_a_running_instance(self):
        self.spawned()
        self.attach()
        # The other port is not touched.
        self.assertEqual(['unplug', 'make_pair', 'plug', 'configure'],
                         self.steps())
        self.assertEqual({uuids.port, uuids.second}, self.inside())
        self.assertEqual({uuids.port, uuids.second}, self.kernel.plugged)
        self.assertEqual({uuids.port: 'eth0', uuids.second: 'eth1'},
                         self.planned())
        self.assertEqual(uuids.second, self.kernel.configured['eth1']['id'])
        self.assertEqual({20000, 20001}, set(self.kernel.tables))

    def test_to_a_paused_instance(self):
        self.spawned((self.driver.pause, self.instance))
        self.instance.vm_state = vm_states.PAUSED
        self.attach()
        self.assertEqual({uuids.port, uuids.second}, self.inside())
        self.assertEqual('paused', self.state)
        self.assertEqual({each['devname'] for each in self.network_info},
                         self.kernel.silent)
        self.driver.unpause(self.instance)
        self.assertEqual(set(), self.kernel.silent)

    def test_to_a_stopped_instance(self):
        self.spawned((self.power_off,))
        self.attach()
        self.assertEqual([], self.steps())
        self.assertEqual({uuids.port: 'eth0', uuids.second: 'eth1'},
                         self.planned())
        self.power_on()
        self.assertEqual({uuids.port, uuids.second}, self.inside())

    def test_to_one_that_never_ran(self):
        self.spawn(power_on=False)
        self.attach()
        self.power_on()
        self.assertEqual({uuids.port: 'eth0', uuids.second: 'eth1'},
                         self.planned())
        self.assertEqual({uuids.port, uuids.second}, self.inside())

    def test_start_that_nova_did_not_ask_for(self):
        self.spawned((self.attach,), (self.power_off,))
        self.assertIsNone(self.foreign_start().exception(60))
        self.assertEqual(['start_container', 'take_back', 'release',
                          'configure', 'hold'], self.steps())
        self.assertEqual({uuids.port, uuids.second}, self.inside())

    def test_two_at_once(self):
        self.spawned()
        second = base.make_vif(uuids.second)
        stale = self.network_info

        def refresh():
            self.instance.info_cache.network_info = everything

        # Nova asks for each with its own, older copy of the instance.
        everything = model.NetworkInfo(
            [*stale, second, base.make_vif(uuids.third)])
        self.refresh.side_effect = refresh
        for vif in everything[1:]:
            self.instance.info_cache.network_info = stale
            self.driver.attach_interface(
                self.context, self.instance, self.image_meta, vif)
        self.assertEqual({uuids.port: 'eth0', uuids.second: 'eth1',
                          uuids.third: 'eth2'}, self.planned())
        # One that was detached, but of which Nova still has to hear.
        self.driver.detach_interface(self.context, self.instance, second)
        self.network_info = everything
        self.refresh.side_effect = None
        self.attach(uuids.fourth)
        self.assertNotIn(uuids.second, self.planned())

    def test_does_not_wait_for_neutron(self):
        """Its word comes by nova-api, where this call is waited for."""
        self.spawned()
        with mock.patch.object(
                self.services.virtapi, 'wait_for_instance_event',
                autospec=True) as waits:
            self.attach(active=False)
        waits.assert_not_called()

    def test_tags_are_in_the_metadata(self):
        self.spawned()
        self.compute.tagged.return_value = [objects.VirtualInterface(
            address='fa:16:3e:00:00:02', tag='dmz')]
        self.attach()
        device, = self.instance.device_metadata.devices
        self.assertEqual(['dmz'], device.tags)
        self.detach()
        self.assertIsNone(self.instance.device_metadata)

    def assert_refused(self, failure=exception.NovaException, **changes):
        before = self.planned()
        error = self.assertRaises(failure, self.attach, **changes)
        self.assertEqual({uuids.port}, self.kernel.plugged)
        self.assertEqual(1, len(self.kernel.pairs))
        self.assertEqual(before, self.planned())
        return str(error)

    def test_failures_leave_nothing(self):
        self.spawned()
        self.kernel.fail_next('make_pair', OSError('no memory'))
        self.assert_refused(exception.VirtualInterfacePlugException)
        self.forget(self.network_info[-1])
        self.kernel.fail_next('plug', os_vif_exception.PlugException(
            vif='v', err='no bridge'))
        self.assert_refused(exception.VirtualInterfacePlugException)
        self.forget(self.network_info[-1])
        for step in ('configure', 'route'):
            self.kernel.fail_next(step, FileExistsError('eth1'))
            self.assert_refused(exception.InterfaceAttachFailed)
            self.assertEqual({}, self.kernel.tables)
            self.forget(self.network_info[-1])
        self.engine.fail_next('list_containers', errors.Timeout('?'))
        self.assert_refused(exception.InterfaceAttachFailed)
        self.forget(self.network_info[-1])
        with mock.patch.object(plans, 'write', autospec=True,
                               side_effect=OSError('disk full')):
            self.assert_refused(exception.InterfaceAttachFailed)
        self.assertEqual({uuids.port}, self.inside())

    def test_container_ends_meanwhile(self):
        self.spawned()
        self.useFixture(fixtures.MockPatch(
            'nova_docker.network.netns.owner', autospec=True,
            return_value=None))
        self.assert_refused(exception.InterfaceAttachFailed)

    def test_kinds_that_containers_cannot_have(self):
        self.spawned()
        refused = {'type': 'macvtap', 'vnic_type': 'macvtap'}
        # In the words of a spawn.
        reason, = requests.of_ports(
            [base.make_vif(uuids.second) | refused], self.instance)
        for verb in (lambda: None, self.power_off):
            verb()
            self.assertEqual(reason, self.assert_refused(
                exception.VirtualInterfacePlugException, **refused))
            self.forget(self.network_info[-1])
            self.assert_refused(exception.VirtualInterfacePlugException,
                                type='tap')
            self.forget(self.network_info[-1])


class DetachTest(InterfacesTestCase):

    def test_from_a_running_instance(self):
        self.spawned((self.attach,))
        self.detach(uuids.port)
        self.assertEqual({}, self.kernel.tables)
        self.assertEqual(['unplug'], self.steps())
        self.assertEqual({uuids.second}, self.inside())
        self.assertEqual({uuids.second}, self.kernel.plugged)
        self.assertEqual({uuids.second: 'eth1'}, self.planned())
        # Not by its place in Nova's list.
        self.reboot()
        self.assertEqual({uuids.second: 'eth1'}, self.planned())
        self.attach(uuids.third)
        self.assertEqual({uuids.second: 'eth1', uuids.third: 'eth0'},
                         self.planned())

    def test_with_a_limit(self):
        self.instance.flavor.extra_specs = {'quota:vif_inbound_average': '9'}
        self.spawned((self.attach,))
        self.detach()
        self.assertEqual({'eth0'}, set(self.kernel.configured))

    def test_the_last_one(self):
        self.spawned()
        self.detach(uuids.port)
        self.assertEqual({}, self.kernel.pairs)
        self.assertEqual({}, self.planned())
        self.reboot()
        self.assertEqual('running', self.state)
        self.attach()
        self.assertEqual({uuids.second: 'eth0'}, self.planned())

    def test_from_a_stopped_instance(self):
        self.spawned((self.attach,), (self.power_off,))
        self.detach(uuids.port)
        self.power_on()
        self.assertEqual({uuids.second: 'eth1'}, self.planned())
        self.assertEqual({uuids.second}, self.inside())

    def test_without_the_engine_and_again(self):
        self.spawned((self.attach,))
        self.engine.fail_next('list_containers', errors.Unavailable('away'))
        self.detach()
        self.assertEqual({uuids.port: 'eth0'}, self.planned())
        self.network_info.append(base.make_vif(uuids.second))
        self.detach()
        self.assertEqual({uuids.port: 'eth0'}, self.planned())

    def test_what_cannot_be_unplugged_is_detached_later(self):
        self.spawned((self.attach,))
        self.kernel.fail_next('unplug', OSError('no OVSDB'))
        self.assertRaises(exception.InternalError, self.detach)
        self.assertEqual({uuids.port: 'eth0', uuids.second: 'eth1'},
                         self.planned())
        self.detach()
        self.assertEqual({uuids.port: 'eth0'}, self.planned())

    def test_failure_is_one_that_nova_knows(self):
        self.spawned((self.attach,))
        with mock.patch.object(plans, 'write', autospec=True,
                               side_effect=OSError('disk full')):
            self.assertRaises(exception.InterfaceDetachFailed, self.detach)

    def test_destroy_leaves_nothing(self):
        self.spawned((self.attach,), (self.detach,), (self.attach,))
        self.destroy()
        self.driver.cleanup(self.context, self.instance, self.network_info)
        self.assert_nothing_left()


class ForgottenTest(InterfacesTestCase):
    """A port that Nova's cache of an instance's network has lost."""

    def setUp(self):
        super().setUp()
        self.spawned((self.attach,))
        self.forget(self.network_info[0])
        self.driver.plug_vifs(self.instance, self.network_info)
        self.both = {uuids.port: 'eth0', uuids.second: 'eth1'}

    def test_a_running_container_keeps_it(self):
        self.assertEqual(self.both, self.planned())
        self.assertEqual({uuids.port, uuids.second}, self.inside())
        self.attach(uuids.third)
        self.assertEqual(self.both | {uuids.third: 'eth2'}, self.planned())
        self.assertEqual({20000, 20001, 20002}, set(self.kernel.tables))
        self.detach()
        self.assertEqual({20000, 20002}, set(self.kernel.tables))

    def test_destroy_leaves_nothing(self):
        self.destroy()
        self.assert_nothing_left()

    def test_destroy_without_any(self):
        self.network_info = None
        self.destroy()
        self.assert_nothing_left()

    def test_cleanup_leaves_nothing(self):
        self.engine.remove_container(self.container['Id'])
        self.driver.cleanup(self.context, self.instance, self.network_info)
        self.assert_nothing_left()

    def test_unplug_for_another_host(self):
        self.power_off()
        self.driver.unplug_vifs(self.instance, self.network_info)
        self.assertEqual(set(), self.kernel.plugged)
        self.assertEqual({}, self.kernel.pairs)

    def test_next_start_is_without_it(self):
        self.reboot()
        self.assertEqual({uuids.second: 'eth1'}, self.planned())
        self.assertEqual({uuids.second}, self.kernel.plugged)
        self.assertEqual({uuids.second}, self.inside())

    def test_start_that_nova_did_not_ask_for(self):
        self.power_off()
        self.assertIsNone(self.foreign_start().exception(60))
        self.assertEqual({uuids.port, uuids.second}, self.inside())

    def test_what_cannot_be_unplugged_starts_all_the_same(self):
        self.kernel.fail_next('unplug', OSError('no OVSDB'))
        self.reboot()
        self.assertEqual({uuids.port, uuids.second}, self.kernel.plugged)
        self.destroy()
        self.assert_nothing_left()

    def test_remembered_again(self):
        self.network_info = model.NetworkInfo(
            [base.make_vif(uuids.port), *self.network_info])
        self.driver.plug_vifs(self.instance, self.network_info)
        self.assertEqual(self.both, self.planned())
        self.detach(uuids.port)
        self.assertEqual({uuids.second}, self.kernel.plugged)

    def test_gone_to_another_host(self):
        for vif in self.network_info:
            vif.update(type='unbound')
        self.destroy()
        self.assert_nothing_left()


class PortsChangedTest(InterfacesTestCase):
    """Fixed addresses that change in Neutron."""

    def setUp(self):
        super().setUp()
        self.spawned()
        self.network_info[0]['network']['subnets'][0]['ips'] = [
            model.FixedIP(address='192.0.2.77')]

    def assert_followed(self):
        self.assertEqual(
            ['192.0.2.77'],
            [each['address'] for each in
             self.kernel.configured['eth0']['addresses']])
        port, *_ = plans.read(self.compute.state_dir, uuids.instance)
        self.assertEqual('192.0.2.77', port.addresses[0].address)

    def test_as_nova_compute_starts(self):
        self.driver.plug_vifs(self.instance, self.network_info)
        self.assertEqual(['plug', 'configure'], self.steps())
        (_pid, _ports, earlier), = (
            args for name, args in self.compute.steps if name == 'configure')
        self.assertEqual('192.0.2.5', earlier[0]['addresses'][0]['address'])
        self.assert_followed()

    def test_as_another_port_is_attached(self):
        self.attach()
        self.assert_followed()

    def test_as_it_is_started_again(self):
        self.reboot('SOFT')
        self.assert_followed()

    def test_the_container_refuses(self):
        self.kernel.fail_next('configure', OSError('not permitted'))
        error = self.assertRaises(
            exception.VirtualInterfacePlugException, self.driver.plug_vifs,
            self.instance, self.network_info)
        self.assertIn('not permitted', error.format_message())
        self.assertEqual({uuids.port}, self.inside())
        # It is tried again.
        self.driver.plug_vifs(self.instance, self.network_info)
        self.assert_followed()


class TrunksTest(InterfacesTestCase):
    """Sub-ports, which Nova's network model has not."""

    def setUp(self):
        super().setUp()
        self.spawned()
        self.trunk(7)

    def trunk(self, *numbers):
        """Give the first port's trunk sub-ports of these VLANs."""
        self.compute.subports.return_value = {uuids.port: {
            number: base.make_vif(getattr(uuids, f'subport{number}'))
            for number in numbers}}

    def inside(self):
        """VLANs that the first port was last set up with."""
        return [each['vlan'] for each in
                self.kernel.configured['eth0']['subports']]

    def test_as_it_starts(self):
        for numbers in ((7, 8), (8,), ()):
            self.trunk(*numbers)
            self.reboot()
            self.assertEqual([*numbers], self.inside())
        _context, _vifs, known = self.compute.subports.call_args.args
        self.assertEqual({uuids.port}, known)

    def test_as_nova_compute_starts(self):
        self.reboot()
        self.assertEqual({20000, 200000007}, set(self.kernel.tables))
        # Neutron need not be there.
        self.compute.subports.side_effect = AssertionError
        self.kernel.pairs.clear()
        self.driver.plug_vifs(self.instance, self.network_info)
        self.assertEqual([7], self.inside())

    def test_as_another_port_is_attached(self):
        self.attach()
        self.assertEqual([7], self.inside())
        self.detach(uuids.port)
        self.assertEqual({uuids.second: 'eth1'}, self.planned())
        self.assertEqual({}, self.kernel.tables)

    def test_attached(self):
        self.compute.subports.return_value = {
            uuids.second: {9: base.make_vif(uuids.subport9)}}
        self.attach()
        subport, = self.kernel.configured['eth1']['subports']
        self.assertEqual('eth1.9', subport['name'])

    def test_they_stay_without_neutron(self):
        self.reboot()
        self.compute.subports.return_value = {}
        self.reboot()
        self.assertEqual([7], self.inside())

    def test_start_that_nova_did_not_ask_for(self):
        self.reboot()
        self.power_off()
        self.trunk(8)
        self.kernel.configured.clear()
        self.assertIsNone(self.foreign_start().exception(60))
        self.assertEqual([7], self.inside())

    def test_refused(self):
        refusal = exception.VirtualInterfacePlugException('no')
        self.compute.subports.side_effect = refusal
        self.assertRaises(exception.VirtualInterfacePlugException,
                          self.attach)
        self.assertEqual({uuids.port}, self.kernel.plugged)
        self.forget(self.network_info[-1])
        self.assertRaises(exception.VirtualInterfacePlugException,
                          self.reboot)


class PortsTest(base.LifecycleTestCase):
    """plug_vifs and unplug_vifs."""

    def plug(self):
        self.driver.plug_vifs(self.instance, self.network_info)

    def unplug(self):
        self.driver.unplug_vifs(self.instance, self.network_info)

    def test_of_a_running_instance(self):
        self.spawned()
        self.kernel.plugged.clear()
        self.plug()
        # The pair is not touched.
        self.assertEqual(['plug'], self.steps())
        self.assertEqual({uuids.port}, self.kernel.plugged)

    def test_of_a_paused_instance(self):
        self.spawned((self.driver.pause, self.instance))
        self.instance.vm_state = vm_states.PAUSED
        self.plug()
        self.assertEqual(['plug'], self.steps())
        self.assertEqual({self.network_info[0]['devname']},
                         self.kernel.silent)

    def test_pair_that_was_lost(self):
        self.spawned()
        self.kernel.pairs.clear()
        self.plug()
        self.assertEqual(['unplug', 'make_pair', 'plug', 'configure'],
                         self.steps())
        self.assertEqual([link.INSIDE], list(self.kernel.pairs.values()))

    def test_pair_that_was_lost_and_cannot_be_replaced(self):
        self.spawned()
        self.kernel.pairs.clear()
        self.kernel.fail_next('configure', OSError('not permitted'))
        self.assertRaises(
            exception.VirtualInterfacePlugException, self.plug)
        # Or the next one would take it for well.
        self.assertEqual({}, self.kernel.pairs)

    def test_of_one_that_does_not_run(self):
        self.plug()
        self.spawned((self.power_off,))
        self.plug()
        self.assertEqual([], self.steps())

    def test_cannot_be_plugged(self):
        self.spawned()
        self.kernel.fail_next('plug', os_vif_exception.PlugException(
            vif='v', err='no bridge'))
        self.assertRaises(
            exception.VirtualInterfacePlugException, self.plug)
        self.assertEqual([link.INSIDE], list(self.kernel.pairs.values()))

    def test_unplug(self):
        self.spawned((self.power_off,))
        for _again in range(2):
            self.unplug()
            self.assertEqual({}, self.kernel.pairs)
            self.assertEqual(set(), self.kernel.plugged)
            self.assertFalse(os.path.exists(plans.netns_path(
                self.compute.state_dir, uuids.instance)))
        self.power_on()
        self.assertEqual('running', self.state)

    def test_cannot_be_unplugged(self):
        self.spawned((self.power_off,))
        self.kernel.fail_next('unplug', OSError('busy'))
        error = self.assertRaises(
            exception.VirtualInterfaceUnplugException, self.unplug)
        self.assertIn('busy', error.format_message())
