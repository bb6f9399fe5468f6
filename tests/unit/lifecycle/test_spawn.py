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


"""spawn: the order of its steps, what it refuses, and its undoing."""

import contextlib
import os
from unittest import mock

from nova import exception
from nova.network import model
from os_vif import exception as os_vif_exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import spawn
from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import engine
from tests.fixtures import starts
from tests.unit.lifecycle import base

PLUG = ['unplug', 'make_pair', 'plug']


class SpawnTest(base.LifecycleTestCase):

    def wait_for_events(self, *, fail=False):
        """Let the events of Neutron be a step; they may not come."""
        @contextlib.contextmanager
        def wait(instance, events, **kwargs):
            self.events = events
            yield
            self.compute.steps.append(('neutron', ()))
            if fail:
                raise exception.InstanceEventTimeout()

        self.network_info[0]['active'] = False
        self.services.virtapi.wait_for_instance_event = wait

    def test_order(self):
        self.wait_for_events()
        self.spawn()
        self.assertEqual(
            [*PLUG, 'load_image', 'create_container', 'neutron',
             'start_container', 'configure', 'hold'],
            self.steps(base.CHANGES | {'neutron'}))
        self.assertEqual([('network-vif-plugged', uuids.port)], self.events)
        self.assertEqual('running', self.state)

    def test_metadata_is_looked_for_once_the_port_is_plugged(self):
        """Only then has Neutron a DHCP server for a new network."""
        self.wait_for_events()
        self.compute.metadata.side_effect = lambda _context, _vifs: {
            uuids.port: '192.0.2.2' if ('neutron', ()) in self.compute.steps
            else None}
        self.spawn()
        [port] = plans.read(self.compute.state_dir, self.instance.uuid)
        self.assertIn(('169.254.169.254/32', '192.0.2.2'), [
            (route.destination, route.gateway) for route in port.routes])

    def test_without_power(self):
        self.spawn(power_on=False)
        self.assertEqual(['load_image', 'create_container'], self.steps())
        self.assertEqual('created', self.state)

    def configured(self):
        """The limits of the ports that the gate has set up."""
        (_pid, ports, _earlier), = [
            args for name, args in self.compute.steps if name == 'configure']
        return [port['limits'] for port in ports]

    def capabilities(self):
        return self.engine.inspect_container(
            self.container['Id'])['HostConfig']['CapDrop']

    def test_bandwidth_of_the_flavor(self):
        self.instance.flavor.extra_specs = {
            'quota:vif_outbound_average': '1000'}
        self.spawn()
        limits, = self.configured()
        self.assertIsNone(limits['inbound'])
        self.assertEqual(1_000_000, limits['outbound']['rate'])
        # Or a packet socket would pass by the limit.
        self.assertIn('NET_RAW', self.capabilities())
        self.assertIn('MKNOD', self.capabilities())

    def test_raw_sockets_where_nothing_is_limited_that_they_send(self):
        self.instance.flavor.extra_specs = {
            'quota:vif_inbound_average': '1000'}
        self.spawn()
        limits, = self.configured()
        self.assertEqual(1_000_000, limits['inbound']['rate'])
        self.assertNotIn('NET_RAW', self.capabilities())

    def test_without_ports(self):
        self.network_info = model.NetworkInfo([])
        self.spawn()
        self.assertEqual('running', self.state)
        self.assertEqual({}, self.kernel.pairs)


class RefusalTest(base.LifecycleTestCase):
    """Nothing is touched when the request cannot be honoured."""

    def assert_refused(self, error, *words, **changes):
        self.compute.steps.clear()
        raised = self.assertRaises(error, self.spawn, **changes)
        for word in words:
            self.assertIn(word, raised.format_message())
        self.assertEqual([], self.steps())

    def test_all_reasons_at_once(self):
        self.instance.flavor.extra_specs = {'hw:cpu_realtime': 'yes'}
        self.assert_refused(
            exception.BuildAbortException, 'hw:cpu_realtime', '../motd',
            injected_files=[('../motd', b'')])

    def test_files_that_nobody_would_see(self):
        self.instance.system_metadata['image_docker_tmpfs'] = '/tmp,/srv'
        self.instance.config_drive = 'True'
        for path in ('/tmp/a', '/srv/a', '/proc/a', '/etc/resolv.conf',
                     '/var/lib/cloud/seed/config_drive/a'):
            self.assert_refused(
                exception.BuildAbortException, path,
                injected_files=[('/a', b''), (path, b'')])

    def test_config_drive_where_root_is_another(self):
        self.engine.details['SecurityOptions'].append('name=userns')
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        self.instance.config_drive = 'True'
        self.assert_refused(exception.BuildAbortException, 'config drives')

    def test_flavor(self):
        self.instance.flavor.extra_specs = {'docker:nonsense': '1'}
        self.assert_refused(exception.BuildAbortException, 'docker:nonsense')
        self.instance.flavor.extra_specs = {'quota:vif_inbound_peak': '1'}
        self.assert_refused(exception.BuildAbortException,
                            'need quota:vif_inbound_average')

    def test_ports(self):
        self.network_info[0]['vnic_type'] = 'direct'
        self.assert_refused(exception.BuildAbortException, uuids.port,
                            'VNIC type direct')

    def test_image_property(self):
        self.instance.system_metadata['image_docker_nonsense'] = '1'
        self.assert_refused(
            exception.ImageUnacceptable, 'docker_nonsense', uuids.image)


class UndoTest(base.LifecycleTestCase):
    """Whatever fails, nothing is left, and the first error is told."""

    def assert_undone(self, error, *words):
        self.compute.steps.clear()
        raised = self.assertRaises(error, self.spawn)
        for word in words:
            self.assertIn(word, raised.format_message())
        self.assert_nothing_left()
        return raised

    def test_pair(self):
        self.kernel.fail_next('make_pair', OSError('no memory'))
        self.assert_undone(exception.VirtualInterfacePlugException,
                           'no memory')
        self.assertNotIn('load_image', self.steps())

    def test_plug(self):
        self.kernel.fail_next('plug', os_vif_exception.PlugException(
            vif='v', err='no bridge'))
        self.assert_undone(exception.VirtualInterfacePlugException,
                           'no bridge')
        self.assertNotIn('start_container', self.steps())

    def test_second_port(self):
        self.network_info = model.NetworkInfo(
            [base.make_vif(uuids.port), base.make_vif(uuids.other)])
        self.kernel.fail_next('make_pair', OSError('no memory'), skip=1)
        self.assert_undone(exception.VirtualInterfacePlugException)

    def test_image_is_gone(self):
        self.glance.download = mock.Mock(
            side_effect=exception.ImageNotFound(image_id=uuids.image))
        self.assert_undone(exception.BuildAbortException, 'not be found')

    def test_no_image(self):
        self.glance.data = b'no archive'
        self.assert_undone(exception.ImageUnacceptable)

    def test_image_without_a_command(self):
        layer = archives.layer(('hello', b'#!'))
        self.glance.data = archives.docker25(
            [layer], archives.config([layer], config={}))
        self.assert_undone(exception.ImageUnacceptable, 'command')
        self.assertNotIn('create_container', self.steps())

    def test_health_check_without_a_command(self):
        self.instance.system_metadata[
            'image_docker_healthcheck_interval'] = '5'
        self.assert_undone(exception.ImageUnacceptable, 'health check')
        layer = archives.layer(('hello', b'#!'))
        self.glance.data = archives.docker25([layer], archives.config(
            [layer], config={'Cmd': ['/hello'],
                             'Healthcheck': {'Test': ['CMD', 'true']}}))
        self.image_meta.checksum = 'bb'
        self.spawn()

    def test_load(self):
        self.engine.fail_next(
            'load_image', errors.ServerError('disk full', 500))
        self.assert_undone(exception.InternalError, 'disk full')

    def test_create(self):
        for error, nova_error in (
                (errors.ServerError('disk full', 500),
                 exception.InternalError),
                (errors.Unavailable('gone'),
                 exception.HypervisorUnavailable)):
            self.engine.fail_next('create_container', error)
            self.assert_undone(nova_error, str(error))

    def test_answer_to_create_is_lost(self):
        self.engine.fail_next(
            'create_container', errors.Timeout('no word'), after=True)
        self.assert_undone(exception.HypervisorUnavailable)

    def test_events_of_neutron(self):
        SpawnTest.wait_for_events(self, fail=True)
        self.assert_undone(exception.VirtualInterfaceCreateException)
        self.assertNotIn('start_container', self.steps())

    def test_command_does_not_exist(self):
        self.image_meta.properties.os_command_line = engine.NO_COMMAND
        self.assert_undone(exception.ImageUnacceptable, engine.NO_COMMAND,
                           'no such file or directory')
        self.assertEqual(1, self.steps().count('start_container'))

    def test_gate(self):
        self.kernel.fail_next('configure', OSError('no such device'))
        self.assert_undone(exception.VirtualInterfacePlugException,
                           'no such device')
        self.assertEqual(1, self.steps().count('start_container'))

    def test_cdi_file(self):
        os.rmdir(self.compute.cdi_dir)
        self.addCleanup(os.makedirs, self.compute.cdi_dir, exist_ok=True)
        os.symlink('/nowhere/at/all', self.compute.cdi_dir)
        self.assertRaises(OSError, self.spawn)
        os.unlink(self.compute.cdi_dir)
        os.mkdir(self.compute.cdi_dir)
        self.assert_nothing_left()

    def test_answer_to_start_is_lost(self):
        self.engine.fail_next(
            'start_container', errors.Timeout('no word'), after=True)
        self.assert_undone(exception.HypervisorUnavailable, 'no word')

    def test_error_of_the_undoing_is_not_told(self):
        self.engine.fail_next(
            'create_container', errors.ServerError('disk full', 500))
        # The first is of the plugging.
        self.kernel.fail_next('delete_pair', OSError('busy'), skip=1)
        error = self.assertRaises(exception.InternalError, self.spawn)
        self.assertIn('disk full', error.format_message())
        self.assertIn(uuids.instance, self.services.undone)

    def test_engine_goes_down(self):
        def go_down(*args):
            self.engine.go_down()
            raise OSError('cut off')

        with mock.patch.object(netns, 'configure', autospec=True,
                               side_effect=go_down):
            self.assertRaises(exception.NovaException, self.spawn)
        # The host's side is gone at once, the container when it can be.
        self.assertEqual({}, self.kernel.pairs)
        self.assertEqual({uuids.instance}, set(self.services.undone))
        self.engine.come_up()
        starts.wait_until(lambda: not self.services.undone)
        # It is not to be undone any more from when it begins, in its turn.
        with self.services.gate.turn(uuids.instance):
            self.assert_nothing_left()


class AgainTest(base.LifecycleTestCase):
    """A spawn where there was one before."""

    def undo_later(self):
        """A spawn whose container could not be removed."""
        self.engine.fail_next(
            'start_container', errors.Timeout('no word'), after=True)
        self.engine.fail_next(
            'remove_container', errors.Unavailable('gone'))
        self.assertRaises(exception.HypervisorUnavailable, self.spawn)
        self.assertEqual('running', self.state)
        self.assertIn(uuids.instance, self.services.undone)

    def test_after_one_that_was_cut_off(self):
        self.spawn(power_on=False)
        before = self.container['Id']
        self.spawn()
        self.assertNotEqual(before, self.container['Id'])
        self.assertEqual('running', self.state)

    def test_a_container_that_runs_is_kept(self):
        self.assert_kept()

    def test_a_container_that_ran_is_kept(self):
        self.assert_kept((self.power_off,))

    def assert_kept(self, *then):
        self.spawned(*then)
        before = self.container
        self.assertRaises(exception.InstanceExists, self.spawn)
        self.assertEqual(before, self.container)
        self.assertEqual([], self.steps())

    def test_after_one_that_waits_for_its_undoing(self):
        self.undo_later()
        self.spawn()
        self.assertEqual('running', self.state)
        self.assertEqual({}, self.services.undone)

    def test_what_cannot_be_undone_is_not_forgotten(self):
        self.undo_later()
        self.engine.fail_next(
            'remove_container', errors.Unavailable('gone'))
        self.assertRaises(exception.InstanceExists, self.spawn)
        self.assertIn(uuids.instance, self.services.undone)

    def test_a_start_of_the_old_container_is_given_up(self):
        self.spawn(power_on=False)
        with self.services.gate.turn(uuids.instance):
            self.write_cdi_file()
            foreign = self.foreign_start()
            self.wait_for_hooks()
            spawned = self.in_thread(self.spawn)
            self.assertIsInstance(foreign.exception(60), errors.ServerError)
        self.assertIsNone(spawned.exception(60))
        self.assertEqual('running', self.state)

    def write_cdi_file(self):
        options = self.services.options
        spawn.start.store.write(options.cdi_spec_dir, uuids.instance,
                                options.state_dir, 10)
        spawn.start.plans.ensure(options.state_dir, uuids.instance)

    def test_name_taken_by_another(self):
        self.spawn()
        self.destroy()
        foreign = self.foreign_container(
            names.container_name(uuids.instance))
        self.assertRaises(exception.InternalError, self.spawn)
        self.assertEqual(foreign, self.container['Id'])
        self.assertEqual({}, self.kernel.pairs)
