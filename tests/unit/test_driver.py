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

"""Nova's own conformance tests, and what only the facade does."""

import io
import logging
import threading

import fixtures
from nova import exception
from nova import objects
from nova import test
from nova.tests.unit import utils as test_utils
from nova.tests.unit.virt import test_virt_drivers
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker import driver
from nova_docker.engine import errors
from nova_docker.lifecycle import startup
from tests.fixtures import busybox
from tests.fixtures import compute
from tests.fixtures import uploads
from tests.fixtures import volumes

#: Why Nova's tests may find a verb missing. What a user asks for by it ends
#: with an error of Nova's API or leaves the server as it was.
NOT_IMPLEMENTED = {
    "Nova's own way is right: by the name of the root disk": (
        'get_device_name_for_instance',),
    'a container has no display that they could show': (
        'get_spice_console', 'get_mks_console'),
    'of the disks of virtual machines': ('get_instance_disk_info',),
    "Nova's own way is right: power off and on": ('soft_delete', 'restore'),
    'only XenAPI had it': (
        'host_power_action', 'set_host_enabled', 'poll_rebooting_instances'),
}


class ConformanceTest(test_virt_drivers._VirtDriverTestCase, test.TestCase):
    """What Nova asks of every driver."""

    def setUp(self):
        self.driver_module = 'nova.virt.docker.DockerDriver'
        fakes = compute.Compute()
        super().setUp()
        self.compute = self.useFixture(fakes)
        self.flags(group='docker', suspend='freeze')
        self.flags(group='serial_console', enabled=True)
        self.connection.init_host('host1')
        self.addCleanup(self.connection.cleanup_host, 'host1')
        self.useFixture(uploads.Uploads(self.image_service))
        self.image_service.create(self.ctxt, {
            'id': uuids.image, 'name': 'busybox', 'status': 'active',
            'container_format': 'docker', 'disk_format': 'raw',
            'size': len(busybox.archive()), 'checksum': 'aa',
            'min_disk': 0, 'min_ram': 0, 'properties': {}},
            data=io.BytesIO(busybox.archive()))
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.ERROR))
        self.addCleanup(self._check_log)

    def _get_running_instance(self, obj=True):
        """As Nova's, from a container image and without ephemeral disk."""
        flavor = test_utils.get_test_flavor(
            self.ctxt, {'ephemeral_gb': 0, 'flavorid': 'container',
                        'name': 'container'})
        instance = test_utils.get_test_instance(self.ctxt, flavor, obj=obj)
        instance.image_ref = uuids.image
        instance.pci_requests = objects.InstancePCIRequests(requests=[])
        instance.trusted_certs = None
        # Nova asks for its consoles.
        instance.system_metadata['image_docker_tty'] = 'true'
        network_info = test_utils.get_test_network_info()
        self.connection.spawn(
            self.ctxt, instance,
            test_utils.get_test_image_object(self.ctxt, instance),
            [], 'herp', {}, network_info=network_info)
        return instance, network_info

    def test_rescue(self):
        """As Nova's, with an image, which Nova always names."""
        self._rescue()

    def test_unrescue_rescued_instance(self):
        self.connection.unrescue(self.ctxt, self._rescue())

    def _rescue(self):
        instance, network_info = self._get_running_instance()
        self.connection.rescue(
            self.ctxt, instance, network_info,
            test_utils.get_test_image_object(self.ctxt, instance), '', None,
            objects.ShareMappingList())
        return instance

    def test_migrate_disk_and_power_off(self):
        """As Nova's, with a flavor as Nova's manager has it, and here."""
        instance, network_info = self._get_running_instance()
        flavor = test_utils.get_test_flavor(self.ctxt)
        flavor.extra_specs = {}
        instance.system_metadata |= {'image_disk_format': 'raw',
                                     'image_container_format': 'docker'}
        self.assertEqual('', self.connection.migrate_disk_and_power_off(
            self.ctxt, instance, self.connection.get_host_ip_addr(), flavor,
            network_info))

    def test_attach_detach_volume(self):
        self._attach_and_detach(lambda instance: None)

    def test_attach_detach_different_power_states(self):
        self._attach_and_detach(self.connection.power_off)

    def _attach_and_detach(self, meanwhile):
        """As Nova's, with a kind of volume that there is."""
        instance, _ = self._get_running_instance()
        meanwhile(instance)
        arguments = (self.ctxt, volumes.connection(
            uuids.volume, '/dev/loop1'), instance, '/dev/vdb')
        self.assertIsNone(self.connection.attach_volume(*arguments))
        self.assertIsNone(self.connection.detach_volume(*arguments))

    def test_block_stats(self):
        """None of a device that there is not, as Nova's driver.py has it."""
        instance, _ = self._get_running_instance()
        self.assertIsNone(self.connection.block_stats(instance, 'someid'))

    def test_swap_volume(self):
        """Of one that it has not; Nova's test wants it done."""
        instance, _ = self._get_running_instance()
        self.assertRaises(
            exception.DiskNotFound, self.connection.swap_volume, self.ctxt,
            {'serial': 'old'}, {'serial': 'new'}, instance, '/dev/vdb', 0)

    def _check_log(self):
        for line in self.log.output.splitlines():
            _, found, rest = line.partition(' does not implement ')
            if found:
                self.assertIn(rest.split()[0], set().union(
                    *NOT_IMPLEMENTED.values()))

    def test_live_migration(self):
        """Refused before it begins; Nova's test wants it done."""
        instance, _ = self._get_running_instance()
        # There is no host to ask.
        self.flags(rpc_response_timeout=1)
        self.assertRaises(
            exception.MigrationPreCheckError,
            self.connection.check_can_live_migrate_destination,
            self.ctxt, instance, None, None)

    def test_live_migration_force_complete(self):
        """Nova's test looks into its FakeDriver."""
        instance, _ = self._get_running_instance()
        self.connection.live_migration_force_complete(instance)


class TranslationTest(test.NoDBTestCase):
    """The engine's errors as Nova's."""

    def setUp(self):
        super().setUp()
        self.compute = self.useFixture(compute.Compute())
        self.driver = self.compute.driver()

    def assert_translated(self, engine_error, nova_error):
        self.compute.engine.fail_next('list_containers', engine_error)
        error = self.assertRaises(nova_error, self.driver.list_instances)
        self.assertIn(str(engine_error), error.format_message())

    def test_no_engine(self):
        self.assert_translated(errors.Unavailable('nobody is there'),
                               exception.HypervisorUnavailable)

    def test_no_answer(self):
        self.assert_translated(errors.Timeout('no word in 60 s'),
                               exception.HypervisorUnavailable)

    def test_other_errors(self):
        for error in (errors.ServerError('disk full', 500),
                      errors.Conflict('in use', 409),
                      errors.NotFound('gone', 404),
                      errors.BadRequest('what?', 400)):
            self.assert_translated(error, exception.InternalError)

    def test_a_fault_has_room_for_the_reason(self):
        self.compute.engine.fail_next('list_containers', errors.ServerError(
            'failed to do: ' * 50 + 'no space', 500))
        error = self.assertRaises(exception.InternalError,
                                  self.driver.list_instances)
        self.assertLess(len(error.format_message()), 255)
        self.assertIn('failed to do: no space', error.format_message())

    def test_only_classes_that_cross_rpc(self):
        for _, nova_error in driver._ERRORS:
            self.assertEqual('nova.exception', nova_error.__module__)

    def test_not_before_init_host(self):
        unready = driver.DockerDriver(None)
        self.assertRaises(exception.VirtDriverNotReady,
                          unready.get_available_nodes)
        unready.cleanup_host('host1')

    def test_two_clean_up(self):
        began, go_on, seen = threading.Event(), threading.Event(), []
        original = startup.cleanup_host

        def cleanup_host(services):
            seen.append(services)
            if services:
                began.set()
                go_on.wait(60)
            original(services)

        self.useFixture(fixtures.MockPatchObject(
            startup, 'cleanup_host', cleanup_host))
        first, second = (threading.Thread(
            target=self.driver.cleanup_host, args=('host1',))
            for _time in range(2))
        first.start()
        self.assertTrue(began.wait(60))
        second.start()
        second.join(0.1)
        go_on.set()
        first.join()
        second.join()
        self.assertEqual([True, False], [bool(each) for each in seen])

    def test_several_in_one_process(self):
        other = self.compute.driver('host2')
        self.assertEqual(['host1'], self.driver.get_available_nodes())
        self.assertEqual(['host2'], other.get_available_nodes())
