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

"""Cold migration: what is on which host when, and after each kill."""

import contextlib
import os
from unittest import mock

import fixtures
from nova.compute import task_states
from nova.compute import vm_states
from nova import exception
from nova import objects
from nova.virt import fake as nova_fake
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker import driver
from nova_docker.engine import errors
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import unconfirmed
from nova_docker.network import plans
from nova_docker.spec import names
from nova_docker.transfer import spool
from tests.fixtures import transfers
from tests.fixtures import volumes
from tests.unit.lifecycle import test_boot
from tests.unit.lifecycle import test_resize
from tests.unit.lifecycle import test_volumes_killed

HOSTS = ('host1', 'host2')
OWN = test_resize.OWN
LEFT = test_resize.LEFT


class ColdTestCase(test_resize.ResizeTestCase):
    """An instance of the first of two hosts."""

    def setUp(self):
        super().setUp()
        self.states = {'host1': self.compute.state_dir}
        self.cdi = {'host1': self.compute.cdi_dir}
        self.engines = {'host1': self.engine}
        for values in self.states, self.cdi:
            values['host2'] = self.useFixture(fixtures.TempDir()).path
        self.engines['host2'] = self.compute.another_engine(
            self.cdi['host2'])
        self.transfers = self.useFixture(transfers.Transfers(
            self.compute.steps, self.states,
            lambda host, uuid: destroy.discard(
                self.drivers[host]._services, uuid)))
        self.transfers.answering = self.answering
        self.get = self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_by_uuid', autospec=True,
            side_effect=lambda *_, **__: self.instance)).mock
        self.drivers = {'host1': self.driver}
        self.start('host2')
        self.at('host1')
        self.instance.migration_context = transfers.migration_context()
        self.useFixture(transfers.Migration(lambda: self.migration))

    @property
    def migration(self):
        return objects.Migration(
            source_compute='host1', dest_compute='host2',
            cross_cell_move=False)

    def start(self, host):
        """Start the nova-compute of a host."""
        self.at(host)
        made = driver.DockerDriver(nova_fake.FakeVirtAPI())
        made.init_host(host)
        self.addCleanup(made.cleanup_host, host)
        self.drivers[host] = made
        self.at(host)

    def at(self, host):
        """Let the calls that follow be of a host."""
        self.host, self.engine = host, self.engines[host]
        self.driver = self.drivers.get(host)
        self.compute.on(self.engine, self.states[host], self.cdi[host])

    @contextlib.contextmanager
    def answering(self, host):
        before = self.host
        self.at(host)
        try:
            yield self.services.transfers._answers
        finally:
            self.at(before)

    def containers(self):
        return {each['Names'][0].lstrip('/'): each['Id']
                for each in self.engine.list_containers(
                    names.instance_filter(uuids.instance, self.host))}

    def restart(self):
        self.driver.cleanup_host(self.host)
        self.start(self.host)

    def leave(self, flavor=None, dest='192.0.2.2'):
        self.at('host1')
        self.disk_info = super().leave(flavor, dest)

    def finish(self, power_on=True):
        self.at('host2')
        self.instance.flavor = self.large
        self.driver.finish_migration(
            self.context, self.migration, self.instance, self.disk_info,
            self.network_info, self.image_meta, True, {}, self.info, power_on)

    def confirm(self):
        self.at('host1')
        super().confirm()
        self.assert_nothing_at('host1')
        self.at('host2')

    def go_back(self):
        """The first half of a revert."""
        self.at('host2')
        self.instance.task_state = task_states.RESIZE_REVERTING
        self.destroy()

    def bring_back(self, power_on=True):
        """The second half."""
        self.at('host1')
        self.instance.flavor = self.small
        self.driver.finish_revert_migration(
            self.context, self.instance, self.network_info, self.migration,
            self.info, power_on)

    def revert(self, power_on=True):
        self.go_back()
        self.bring_back(power_on)
        self.assert_nothing_at('host2')
        self.at('host1')

    def assert_nothing_at(self, host):
        """Neither a container of the instance nor anything beside it."""
        self.at(host)
        state_dir = self.states[host]
        self.assertEqual({}, self.containers())
        self.assertEqual(set(), plans.instances(state_dir))
        self.assertEqual([], os.listdir(self.cdi[host]))
        self.assertFalse(spool.complete(state_dir, uuids.instance))
        self.assertIsNone(unconfirmed.read(state_dir, uuids.instance))


class ColdTest(ColdTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.old = self.container['Id']

    def test_confirmed(self):
        self.leave()
        self.assertEqual({LEFT: self.old}, self.containers())
        self.assertEqual([], os.listdir(self.cdi['host1']))
        self.assertEqual({}, self.kernel.pairs)
        self.finish()
        new = self.containers()[OWN]
        self.assertEqual({test_resize.upper(new): test_resize.upper(
            self.old)}, self.compute.layers.copied)
        self.assertEqual(('running', 128), (self.state, self.limits()))
        self.assertFalse(spool.complete(self.states['host2'],
                                        uuids.instance))
        self.confirm()
        self.assertEqual({OWN: new}, self.containers())
        self.destroy()
        self.assert_nothing_left()

    def test_reverted(self):
        self.leave()
        self.finish()
        self.revert()
        self.assert_as_it_was()
        self.assertEqual(64, self.limits())

    def test_stopped(self):
        self.power_off()
        self.leave()
        self.finish(power_on=False)
        self.assertEqual('created', self.state)
        self.revert(power_on=False)
        self.assert_as_it_was('exited')

    def test_what_else_goes(self):
        self.instance.config_drive = 'True'
        self.at('host1')
        os.makedirs(plans.config_drive_path(self.states['host1'],
                                            uuids.instance))
        self.leave()
        self.assertEqual({'base', 'root', 'config-drive'}, set(
            spool.parts(self.states['host2'], uuids.instance)))

    def test_another_kind_of_host(self):
        for number, words in enumerate(('other ids', 'no redirects')):
            self.compute.layers.notes = ['opaque', 'redirect']
            self.transfers.fail_next('check', exception.MigrationError(
                reason=words), skip=number)
            self.assert_refused(words, dest='192.0.2.2')
            # The first is said before it is stopped.
            self.assertEqual(bool(number), 'stop_container' in {
                name for name, _arguments in self.compute.steps})
            self.assert_nothing_at('host2')
            self.at('host1')
        self.assertEqual(
            [([], False), ([], False), (['redirect'], False)],
            [(needs['overlay'], needs['init']) for needs in self.asked()])

    def asked(self):
        """What the other host was asked for."""
        return [arguments[1] for name, arguments in self.compute.steps
                if name == 'transfer_check']

    def test_a_host_that_may_lack_something(self):
        for name, value, needed in (
                ('init', 'true', {'init': True, 'system': False}),
                ('init', 'false', {'init': False, 'system': False}),
                ('system_container', 'true',
                 {'init': False, 'system': True})):
            self.transfers.fail_next('check', exception.MigrationError(
                reason='it has none'))
            with mock.patch.dict(self.instance.system_metadata, {
                    f'image_docker_{name}': value}):
                self.assert_refused('it has none', dest='192.0.2.2')
            self.assertLessEqual(needed.items(), self.asked()[-1].items())

    def test_the_other_host_is_asked_what_it_allows(self):
        self.large.extra_specs = {'docker:nesting': 'true'}
        self.transfers.fail_next('check', exception.MigrationError(
            reason='allow_privileged'))
        self.assert_refused('allow_privileged', dest='192.0.2.2')
        asked, = self.asked()
        self.assertEqual({'docker:nesting': 'true'}, asked['extra_specs'])
        self.assertIs(False, asked['huge_pages'])

    def test_files_do_not_get_there(self):
        for name in 'begun', 'finish':
            self.compute.steps.clear()
            self.transfers.fail_next(name, exception.MigrationError(
                reason='no space on the other host'))
            self.assert_refused('no space on the other host',
                                dest='192.0.2.2')
            # What takes long goes before it is stopped.
            self.assertEqual(name == 'finish', bool(
                self.steps({'stop_container'})))
            self.assert_nothing_at('host2')
            self.at('host1')

    def test_fails_after_they_have(self):
        self.engine.fail_next('rename_container',
                              errors.ServerError('no', 500))
        self.assertRaises(exception.InstanceFaultRollback, self.leave)
        self.assert_as_it_was()
        self.assert_nothing_at('host2')

    def test_files_that_do_not_fit_there(self):
        self.leave()
        self.compute.layers.fail_next('unpack', OSError(28, 'no space'))
        self.assertRaises(exception.InternalError, self.finish)
        self.assertEqual({}, self.containers())
        self.instance.flavor = self.small
        self.reboot()
        self.assertEqual(('running', 64), (self.state, self.limits()))
        self.assertIn(test_resize.upper(self.old),
                      self.compute.layers.copied.values())

    def test_new_one_does_not_start(self):
        self.leave()
        self.engines['host2'].fail_next('start_container',
                                        errors.BadRequest('no', 400))
        self.assertRaises(exception.InternalError, self.finish)
        self.instance.flavor = self.small
        self.reboot()
        self.assertEqual(('running', 64), (self.state, self.limits()))
        self.assertFalse(spool.complete(self.states['host2'],
                                        uuids.instance))

    def test_nothing_has_come(self):
        self.leave()
        spool.discard(self.states['host2'], uuids.instance)
        self.assertRaises(exception.InstanceNotFound, self.finish)

    def test_deleted_before_it_is_confirmed(self):
        self.leave()
        self.finish()
        self.instance.task_state = task_states.DELETING
        self.destroy()
        self.assert_nothing_at('host2')
        self.at('host1')
        self.assertTrue(self.driver.delete_instance_files(self.instance))
        self.assert_nothing_at('host1')

    def test_spawned_where_files_of_before_are(self):
        """They are of another time, and must not come back."""
        self.leave()
        self.at('host2')
        self.spawn()
        self.assertFalse(spool.complete(self.states['host2'],
                                        uuids.instance))


class OverTest(ColdTestCase):
    """A nova-compute died, and Nova does not go on with the move."""

    def setUp(self):
        super().setUp()
        self.spawned()
        self.old = self.container['Id']
        self.leave()
        self.instance.host = 'host2'

    def test_not_yet(self):
        for host, vm_state, task_state in (
                ('host1', vm_states.ACTIVE, None),
                ('host2', vm_states.RESIZED, None),
                ('host2', vm_states.ERROR, None),
                ('host2', vm_states.ACTIVE, task_states.RESIZE_FINISH)):
            self.instance.host = host
            self.instance.vm_state = vm_state
            self.instance.task_state = task_state
            self.restart()
            self.assertEqual({LEFT: self.old}, self.containers())
        self.get.side_effect = exception.NovaException('no database')
        self.restart()
        self.assertEqual({LEFT: self.old}, self.containers())

    def test_well_elsewhere(self):
        self.finish()
        self.at('host1')
        self.restart()
        self.assert_nothing_at('host1')
        self.at('host2')
        self.restart()
        self.assertEqual([OWN], list(self.containers()))

    def test_gone(self):
        self.get.side_effect = exception.InstanceNotFound(
            instance_id=uuids.instance)
        for host in HOSTS:
            self.at(host)
            self.driver.manage_image_cache(self.context, [])
            self.assert_nothing_at(host)

    def revert_untold(self):
        """The other host can not be told that it is back."""
        with mock.patch.object(self.transfers, '_on_discard', autospec=True):
            self.go_back()
            self.bring_back()

    def test_not_told_that_it_is_back(self):
        self.finish()
        self.revert_untold()
        self.instance.host, self.instance.task_state = 'host1', None
        self.at('host2')
        self.assertEqual([LEFT], list(self.containers()))
        self.restart()
        self.assert_nothing_at('host2')

    def test_comes_again(self):
        """What was there at the first time must not be in its way."""
        self.finish()
        self.revert_untold()
        self.leave()
        self.finish()
        self.assertEqual([OWN], list(self.containers()))
        self.assertIsNone(unconfirmed.read(self.states['host2'],
                                           uuids.instance))

    def test_files_that_came_for_nothing(self):
        """It went on where it was, as the other host could not be told."""
        self.instance.host = 'host1'
        self.at('host2')
        self.restart()
        self.assert_nothing_at('host2')


class VolumesTest(test_resize.ChangedVolumes, test_resize.VolumesTestCase,
                  ColdTestCase):

    def test_mount_path(self):
        self.leave()
        self.assertEqual(set(), self.volumes.connected)
        self.finish()
        self.assertEqual(['/data'], self.paths())
        self.revert()
        self.assertEqual(['/data'], self.paths())

    def test_detached_before_it_is_reverted(self):
        self.leave()
        self.finish()
        self.driver.detach_volume(
            self.context, volumes.connection(uuids.volume, '/dev/loop1'),
            self.instance, '/dev/vdb')
        self.info = {}
        self.revert()
        self.assertEqual(([], set()), (self.paths(), self.volumes.connected))


class RootVolumeTest(test_boot.BootTestCase, ColdTestCase):

    def test_another_kind_of_host(self):
        self.spawned()
        self.old = self.container['Id']
        self.transfers.fail_next('check', exception.MigrationError(
            reason='no nova-docker there'))
        test_resize.ResizeTestCase.assert_refused(
            self, 'no nova-docker there', dest='192.0.2.2')

    def test_ephemeral_disks(self):
        """They are files of the host, which do not go with the volume."""
        self.instance.flavor = self.small = self.large = self.flavor(
            ephemeral_gb=1)
        self.spawned()
        self.old = self.container['Id']
        for dest in test_resize.HERE, '192.0.2.2':
            test_resize.ResizeTestCase.assert_refused(
                self, 'ephemeral disks', dest=dest)

    def test_nothing_is_copied(self):
        self.spawned()
        self.leave()
        self.assertEqual({}, self.containers())
        self.finish()
        self.assertEqual(('running', 128), (self.state, self.limits()))
        self.assertEqual([], self.steps({
            'transfer_begun', 'root_make', 'put_archive'}))
        self.revert()
        self.assertEqual(('running', 64), (self.state, self.limits()))


class KilledTest(test_volumes_killed.Mixin, ColdTestCase):
    """A nova-compute ends in the middle, and starts again."""

    def setUp(self):
        super().setUp()
        for module, name in ((unconfirmed, 'write'), (unconfirmed, 'drop'),
                             (spool, 'discard')):
            self.patch(module, name)
        # As Nova has it, or what was left would go when it starts again.
        self.instance.task_state = task_states.RESIZE_MIGRATING
        self.spawned()
        self.old = self.container['Id']

    def restart(self):
        ColdTestCase.restart(self)

    def again(self):
        """Another server, which has left its container."""
        for host in HOSTS:
            self.at(host)
            self.instance.task_state = task_states.DELETING
            self.destroy()
            self.assert_nothing_at(host)
        self.at('host1')
        self.instance.flavor = self.small
        self.spawned()
        self.old = self.container['Id']

    def assert_whole(self):
        """It has its files here."""
        self.assertEqual([OWN], list(self.containers()))
        self.assertEqual('running', self.state)
        own = test_resize.upper(self.containers()[OWN])
        self.assertIn(test_resize.upper(self.old), (
            own, self.compute.layers.copied.get(own)))

    def test_leave(self):
        for _killed in self.kills(self.leave, 19):
            self.driver.finish_revert_migration(
                self.context, self.instance, self.network_info,
                self.migration, self.info, True)
            self.assert_as_it_was()
            self.assert_nothing_at('host2')
        self.assertEqual({LEFT: self.old}, self.containers())

    def test_finish(self):
        self.leave()
        for _killed in self.kills(self.finish, 16):
            self.reboot()
            self.assert_whole()
            self.assertEqual(128, self.limits())
            self.assertFalse(spool.complete(self.states['host2'],
                                            uuids.instance))
            self.again()
            self.leave()
        self.assert_whole()

    def test_reboot_in_place_of_finish(self):
        """Nova-compute of the other host died before it was asked."""
        self.leave()
        self.at('host2')
        self.instance.flavor = self.large
        for _killed in self.kills(self.reboot, 20):
            self.reboot()
            self.assert_whole()
            self.again()
            self.leave()
            self.at('host2')
            self.instance.flavor = self.large
        self.assert_whole()

    def test_confirm(self):
        self.leave()
        self.finish()
        for _killed in self.kills(self.confirm, 9):
            self.confirm()
            self.assert_whole()
            self.again()
            self.leave()
            self.finish()

    def test_go_back(self):
        """It stays, with what it has changed there."""
        self.leave()
        self.finish()
        for _killed in self.kills(self.go_back, 10):
            self.instance.task_state = None
            self.reboot()
            self.assert_whole()
            self.again()
            self.leave()
            self.finish()
        self.instance.task_state = None
        self.reboot()
        self.assert_whole()

    def test_revert(self):
        self.leave()
        self.finish()
        for _killed in self.kills(self.revert, 34):
            # Whoever was killed: Nova's verbs are called again.
            self.revert()
            self.assert_as_it_was()
            self.again()
            self.leave()
            self.finish()
        self.assert_as_it_was()
