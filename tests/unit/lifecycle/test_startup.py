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


"""init_host and cleanup_host: what they begin, clear and end."""

import os
import threading
from unittest import mock

import nova.conf
from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.cdi import hook
from nova_docker.cdi import store
from nova_docker.engine import errors
from nova_docker import exception as docker_exception
from nova_docker.host import events
from nova_docker.host import inventory
from nova_docker.image import registries
from nova_docker.lifecycle import startup
from nova_docker.network import plans
from nova_docker.spec import names
from tests.fixtures import starts
from tests.unit.lifecycle import base


def threads():
    """The driver's threads that live now."""
    return {thread.name for thread in threading.enumerate()
            if thread.name.startswith('docker-')}


class StartupTestCase(base.LifecycleTestCase):

    def restart(self):
        """As nova-compute does, in the same process."""
        self.driver.init_host('host1')


class OptionsTest(StartupTestCase):
    """Read once, and values from then on."""

    def test_values(self):
        options = self.services.options
        self.assertEqual(self.compute.state_dir, options.state_dir)
        self.assertEqual(self.compute.cdi_dir, options.cdi_spec_dir)
        self.assertEqual(10, options.start_hook_timeout)
        self.assertEqual((set(range(4)), set()),
                         (options.shared, options.dedicated))
        self.assertIsNone(options.floating)

    def test_changes_count_at_the_next_start(self):
        self.flags(group='docker', pids_limit=99, cpu_hard_cap=False,
                   log_max_size=3, log_max_files=4, console_log_size=5,
                   system_containers=False, registries_file='/registries',
                   allowed_registries=['a.example', 'b.example/path'])
        self.flags(group='glance', verify_glance_signatures=True)
        self.flags(reserved_host_cpus=1, reserved_host_memory_mb=7,
                   reserved_host_disk_mb=1025)
        self.assertNotEqual(99, self.services.options.limits.pids_limit)
        self.restart()
        options = self.services.options
        self.assertEqual(99, options.limits.pids_limit)
        self.assertFalse(options.limits.cpu_hard_cap)
        self.assertFalse(options.system_containers)
        self.assertEqual((3, 4, 5), (
            options.log_max_size, options.log_max_files,
            options.console_log_size))
        self.assertEqual(registries.Options(
            ('a.example', 'b.example/path'), '/registries', True),
            options.registries)
        self.assertEqual(inventory.Reserved(cpus=1, memory_mb=7, disk_gb=2),
                         options.reserved)

    def test_cpus(self):
        self.flags(group='compute', cpu_shared_set='0-2',
                   cpu_dedicated_set='3')
        self.restart()
        options = self.services.options
        self.assertEqual(({0, 1, 2}, {3}),
                         (options.shared, options.dedicated))
        self.assertEqual({0, 1, 2}, options.floating)

    def test_cpus_that_are_not_there(self):
        self.flags(group='compute', cpu_shared_set='0-9')
        self.assertRaises(exception.Invalid, self.restart)


class InitHostTest(StartupTestCase):

    def test_begins_all(self):
        self.assertTrue(os.access(
            hook.path(self.compute.state_dir), os.X_OK))
        self.assertLessEqual({'docker-gate', 'docker-events'}, threads())

    def test_host_that_cannot_run_instances(self):
        before = threads()
        self.engine.details['CDISpecDirs'] = []
        self.driver.cleanup_host('host1')
        with mock.patch.object(self.engine, 'close', autospec=True) as close:
            self.assertRaises(docker_exception.HostUnusable, self.restart)
        close.assert_called_once()
        self.assertEqual(set(), threads() & before)
        self.assertRaises(exception.VirtDriverNotReady,
                          self.driver.get_available_nodes)

    def test_containers_of_a_newer_driver(self):
        self.spawn()
        newer = str(int(names.SCHEMA) + 1)
        with mock.patch.object(names, 'SCHEMA', newer):
            # It takes over what an older one made.
            self.restart()
            self.driver.destroy(self.context, self.instance,
                                self.network_info)
            self.spawn()
        self.driver.cleanup_host('host1')
        before = self.engine.list_containers([])
        error = self.assertRaises(docker_exception.HostUnusable, self.restart)
        self.assertIn(self.instance.uuid, str(error))
        self.assertEqual(set(), threads())
        self.assertEqual(before, self.engine.list_containers([]))

    def assert_ended_when(self, error):
        """What was begun is ended, and the next attempt works."""
        self.assertRaises(error, self.restart)
        self.assertEqual(set(), threads())

    def test_the_engine_fails(self):
        # The first list is of what is reconciled.
        self.engine.fail_next('list_containers', errors.Unavailable('gone'))
        self.assert_ended_when(exception.HypervisorUnavailable)
        self.restart()

    def test_the_gate_cannot_listen(self):
        requests = plans.requests_path(self.compute.state_dir)
        self.driver.cleanup_host('host1')
        os.unlink(requests)
        open(requests, 'w').close()
        self.assert_ended_when(OSError)
        os.unlink(requests)
        self.restart()

    def test_a_thread_cannot_be_started(self):
        with mock.patch.object(events.EventThread, 'start', autospec=True,
                               side_effect=RuntimeError('no thread')):
            self.assert_ended_when(RuntimeError)
        self.restart()

    def test_instances_are_left_as_they_are(self):
        self.spawned()
        before = self.container
        self.restart()
        self.assertEqual(before, self.container)
        self.assertEqual([], self.steps())
        self.assertEqual({uuids.instance}, store.instances(
            self.compute.cdi_dir, self.compute.state_dir))
        self.power_off()
        self.power_on()
        self.assertEqual('running', self.state)

    def test_knows_the_states_of_before(self):
        self.spawn()
        # Before the first event, too.
        with mock.patch.object(events.EventThread, 'start', autospec=True):
            self.restart()
        self.compute.steps.clear()
        self.driver.get_info(self.instance)
        self.assertEqual([], self.steps(('list_containers',)))

    def test_a_start_that_waited_for_it(self):
        self.spawned((self.power_off,), (self.services.gate.stop,))
        foreign = self.foreign_start()
        starts.wait_until(lambda: os.listdir(plans.hooks_dir(
            self.compute.state_dir, uuids.instance)))
        self.assertFalse(foreign.done())
        # To list containers does not wait for one that starts.
        self.restart()
        self.assertIsNone(foreign.exception(60))
        self.assertEqual('running', self.state)


class ReconcileTest(StartupTestCase):
    """What instances without a container left is removed."""

    def test_removed_while_nova_compute_was_away(self):
        self.spawned()
        kept = base.make_instance(id=2, uuid=uuids.kept)
        self.instance, gone = kept, self.instance
        self.spawn()
        self.driver.cleanup_host('host1')
        self.instance = gone
        self.engine.remove_container(self.container['Id'])
        self.compute.steps.clear()
        self.restart()
        self.assertEqual({uuids.kept}, store.instances(
            self.compute.cdi_dir, self.compute.state_dir))
        self.assertEqual({uuids.kept},
                         plans.instances(self.compute.state_dir))
        # The namespace would keep the ports of that instance alive.
        self.assertEqual(['release', 'unplug'], self.steps())

    def test_container_of_another_host_keeps_its_things(self):
        self.spawn()
        self.driver.init_host('host2')
        self.assertEqual({uuids.instance}, store.instances(
            self.compute.cdi_dir, self.compute.state_dir))
        self.assertEqual([], self.driver.list_instance_uuids())

    def test_files_of_others(self):
        path = os.path.join(self.compute.cdi_dir, 'vendor.json')
        with open(path, 'w') as file:
            file.write('{"kind": "vendor.com/gpu", "devices": []}')
        self.restart()
        self.assertTrue(os.path.exists(path))


class EventsTest(StartupTestCase):
    """What the events' thread is given to do."""

    def test_links_go_down_with_the_container(self):
        self.spawned()
        self.engine.exit(self.container['Id'])
        starts.wait_until(lambda: self.steps(('set_down',)))
        (_name, (path, _inode, _ports)), = [
            step for step in list(self.compute.steps)
            if step[0] == 'set_down']
        self.assertEqual(plans.netns_path(
            self.compute.state_dir, uuids.instance), path)

    def test_undoes_when_the_engine_is_back(self):
        self.engine.fail_next(
            'create_container', errors.ServerError('disk full', 500),
            after=True)
        self.engine.fail_next(
            'remove_container', errors.Unavailable('gone'))
        self.assertRaises(exception.InternalError, self.spawn)
        self.assertIsNotNone(self.container)
        self.engine.go_down()
        self.engine.come_up()
        starts.wait_until(lambda: not self.services.undone)
        self.assert_nothing_left()


class CleanupHostTest(StartupTestCase):

    def test_ends_all(self):
        self.assertNotEqual(set(), threads())
        for _again in range(2):
            self.driver.cleanup_host('host1')
            self.assertEqual(set(), threads())
        self.assertRaises(exception.VirtDriverNotReady,
                          self.driver.get_available_nodes)

    def test_instances_run_on(self):
        self.spawned()
        self.driver.cleanup_host('host1')
        self.assertEqual('running', self.state)
        self.assertEqual([], self.steps())

    def test_address_of_the_engine(self):
        self.flags(group='docker', url='tcp://127.0.0.1:2376',
                   tls_ca_file='ca', tls_cert_file='cert',
                   tls_key_file='key', tls_verify=True, request_timeout=7)
        address = startup.address(nova.conf.CONF)
        self.assertEqual(
            ('tcp://127.0.0.1:2376', 'ca', 'cert', 'key', True, 7),
            (address.url, address.ca_file, address.cert_file,
             address.key_file, address.verify, address.timeout))
