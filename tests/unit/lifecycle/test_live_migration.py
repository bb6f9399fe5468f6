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

"""Live migration: what is on which host when, and after each kill."""

import contextlib
import itertools
import os

import fixtures
from nova.compute import task_states
from nova import exception
from nova import objects
from nova.objects import migrate_data
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.host import overlay
from nova_docker.lifecycle import live_migration
from nova_docker.lifecycle import migrating
from nova_docker.lifecycle import suspended
from nova_docker.network import plans
from nova_docker.spec import names
from nova_docker.transfer import spool
from tests.fixtures import checkpoints
from tests.unit.lifecycle import test_cold
from tests.unit.lifecycle import test_resize
from tests.unit.lifecycle import test_volumes_killed

OWN = test_resize.OWN
BROKEN = errors.ServerError('criu failed', 500)


class LiveTestCase(test_cold.ColdTestCase):
    """An instance that runs on the first of two hosts with CRIU."""

    def setUp(self):
        self.useFixture(fixtures.MockPatch(
            'nova_docker.host.checkpoints._BROKEN', 1000))
        self.pairs = {host: ({}, set()) for host in test_cold.HOSTS}
        super().setUp()
        self.flags(group='docker', suspend='checkpoint', criu='')
        self.checkpoints = self.useFixture(checkpoints.Checkpoints(
            self.compute.steps, self.engines.values()))
        self.service = self.useFixture(fixtures.MockPatchObject(
            objects.Service, 'get_by_compute_host', autospec=True,
            side_effect=lambda _context, host: objects.Service(
                host=host, forced_down=False))).mock
        for host in reversed(test_cold.HOSTS):
            self.at(host)
            self.restart()
        self.spawned()
        self.old = self.container['Id']

    def at(self, host):
        super().at(host)
        self.kernel.pairs, self.kernel.plugged = self.pairs[host]

    def check(self, block_migration=None):
        """What Nova does before anything is begun; its answer crosses RPC."""
        self.at('host2')
        data = self.driver.check_can_live_migrate_destination(
            self.context, self.instance, {}, {}, block_migration, False)
        data = self.through_rpc(data)
        self.at('host1')
        data = self.through_rpc(self.driver.check_can_live_migrate_source(
            self.context, self.instance, data, self.info))
        self.at('host2')
        self.driver.cleanup_live_migration_destination_check(
            self.context, data)
        data.vifs = migrate_data.VIFMigrateData.create_skeleton_migrate_vifs(
            self.network_info)
        for vif in data.vifs:
            vif.vif_type, vif.vnic_type = 'ovs', 'normal'
            vif.profile, vif.vif_details = {}, {}
            vif.host = 'host2'
        return data

    @staticmethod
    def through_rpc(data):
        return objects.base.NovaObject.obj_from_primitive(
            data.obj_to_primitive())

    def prepare(self):
        self.data = self.check()
        self.instance.task_state = task_states.MIGRATING
        self.at('host2')
        self.data = self.driver.pre_live_migration(
            self.context, self.instance, self.info, self.network_info, None,
            self.data)

    def migrate(self):
        self.outcome = None
        self.prepare()
        self.at('host1')
        self.driver.live_migration(
            self.context, self.instance, 'host2', self.post, self.recover,
            False, self.data)

    def post(self, context, instance, dest, block_migration, data):
        self.outcome = 'done'
        self.driver.post_live_migration(context, instance, {}, data)
        self.driver.post_live_migration_at_source(
            context, instance, self.network_info)
        self.driver.cleanup(context, instance, self.network_info, {}, True,
                            data, False)
        with self.answering('host2'):
            self.driver.post_live_migration_at_destination(
                context, instance, self.network_info, block_migration, {})
            instance.host = 'host2'
            instance.task_state = None

    def recover(self, context, instance, dest, migrate_data=None,
                migration_status='failed'):
        self.outcome = migration_status
        self.driver.rollback_live_migration_at_source(
            context, instance, migrate_data)
        self.roll_back_there()
        instance.task_state = None

    def roll_back_there(self):
        with self.answering('host2'):
            self.driver.rollback_live_migration_at_destination(
                self.context, self.instance, self.network_info, {},
                migrate_data=self.data)

    def restored(self):
        return self.engine.restored(self.containers()[OWN])

    def assert_runs_at(self, host):
        """And on no other one; with its processes and its files."""
        other, = set(test_cold.HOSTS) - {host}
        self.assert_nothing_at(other)
        self.assertEqual({}, self.kernel.pairs)
        self.at(host)
        self.assertEqual([OWN], list(self.containers()))
        self.assertEqual('running', self.state)
        self.assertEqual({uuids.port}, self.kernel.plugged)
        self.assertIsNone(migrating.read(self.services, uuids.instance))
        self.assertFalse(suspended.noted(self.services, uuids.instance))
        own = self.containers()[OWN]
        self.assertEqual([], self.engine.list_checkpoints(own))
        if host == 'host2':
            self.assertEqual(suspended.CHECKPOINT, self.restored())
            self.assertEqual(
                test_resize.upper(self.old),
                self.compute.layers.copied[test_resize.upper(own)])
        else:
            self.assertEqual(self.old, own)
        self.assertEqual(host, self.instance.host)


class LiveTest(LiveTestCase):

    def test_done(self):
        self.migrate()
        self.assertEqual('done', self.outcome)
        self.assert_runs_at('host2')
        self.assertEqual(1, len(self.checkpoints.put))
        self.destroy()
        self.assert_nothing_at('host2')

    def test_not_taken_for_one_that_runs_there(self):
        """As long as it does not: it is stopped there, and never started."""
        self.prepare()
        self.assertEqual('created', self.state)
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          self.containers()[OWN], 10)
        self.at('host1')
        self.assertEqual('running', self.state)

    def test_what_else_goes(self):
        self.at('host1')
        os.makedirs(plans.config_drive_path(self.states['host1'],
                                            uuids.instance))
        self.transfers.fail_next('restore', exception.MigrationError(
            reason='no'))
        self.compute.steps.clear()
        self.migrate()
        (_made, _ahead, parts), = (
            args for name, args in self.compute.steps
            if name == 'transfer_finish')
        self.assertEqual({'root', 'config-drive', 'checkpoint'}, set(parts))

    def test_ephemeral_disks_and_swap(self):
        """Not those of its flavor, as its user has chosen others."""
        self.info = {'ephemerals': [{'size': 1}, {'size': 1}],
                     'swap': {'swap_size': 8}}
        self.instance.flavor.ephemeral_gb = 2
        self.instance.flavor.swap = 16
        self.prepare()
        container = self.container
        self.assertEqual((1, 1), tuple(names.ephemerals(
            container['Labels'])[1]))
        self.assertEqual((64 + 8) << 20, self.engine.inspect_container(
            container['Id'])['HostConfig']['MemorySwap'])

    def test_unpacked_before(self):
        """What is large, as long as it runs."""
        self.transfers.large = {'root'}
        self.compute.steps.clear()
        self.migrate()
        self.assert_runs_at('host2')
        self.assertEqual(
            ['transfer_begun', 'transfer_prepare', 'layer_unpack',
             'create_checkpoint', 'transfer_finish', 'transfer_restore',
             'layer_change', 'start_container', 'layer_sync'],
            [name for name, _arguments in self.compute.steps if name in {
                'transfer_begun', 'transfer_prepare', 'layer_unpack',
                'layer_change', 'create_checkpoint', 'transfer_finish',
                'transfer_restore', 'start_container', 'layer_sync'}])

    def test_files_are_not_on_the_disk(self):
        """It runs there, and Nova has noted it."""
        self.compute.layers.fail_next('sync', OSError('bad sector'))
        self.migrate()
        self.assert_runs_at('host2')

    def test_prepared_again(self):
        """After one that came to nothing."""
        self.prepare()
        self.migrate()
        self.assert_runs_at('host2')

    def test_cannot_be_prepared(self):
        self.engines['host2'].fail_next('create_container', BROKEN)
        self.assertRaises(exception.InternalError, self.prepare)
        self.roll_back_there()
        self.assert_runs_at('host1')

    def test_force_complete(self):
        self.driver.live_migration_force_complete(self.instance)
        self.assert_runs_at('host1')

    def test_deleted_there_meanwhile(self):
        """Nova removes it there, and there is nobody to ask for it here."""
        def gone(*arguments):
            self.post(*arguments)
            self.get.side_effect = exception.InstanceNotFound(
                instance_id=uuids.instance)
        self.prepare()
        self.at('host1')
        self.driver.live_migration(
            self.context, self.instance, 'host2', gone, self.recover, False,
            self.data)
        self.assert_runs_at('host2')


class FailedTest(LiveTestCase):

    def assert_stays(self, outcome='failed'):
        self.assertEqual(outcome, self.outcome)
        self.assert_runs_at('host1')

    def test_checkpoint(self):
        self.at('host1')
        self.engine.fail_next('create_checkpoint', BROKEN)
        self.migrate()
        self.assert_stays()
        self.assertIsNone(self.restored())

    def test_send(self):
        self.transfers.fail_next('finish', exception.MigrationError(
            reason='no space'))
        self.migrate()
        self.assert_stays()
        self.assertEqual(suspended.CHECKPOINT, self.restored())

    def test_what_goes_before(self):
        self.transfers.fail_next('begun', exception.MigrationError(
            reason='no space'))
        self.migrate()
        self.assert_stays()
        self.assertIsNone(self.restored())

    def test_unpacked_before(self):
        self.transfers.large = {'root'}
        self.compute.layers.fail_next('unpack', OSError('no space'))
        self.migrate()
        self.assert_stays()
        self.assertIsNone(self.restored())

    def test_files_that_the_other_host_can_not_read(self):
        self.transfers.fail_next('check', exception.MigrationError(
            reason='redirects'))
        with fixtures.MockPatchObject(overlay, 'special', autospec=True,
                                      return_value=['redirect']):
            self.migrate()
        self.assert_stays()
        self.assertEqual(suspended.CHECKPOINT, self.restored())

    def test_restore(self):
        for name, fake in (('unpack', self.compute.layers),
                           ('put', self.checkpoints)):
            fake.fail_next(name, OSError(28, 'no space'))
            self.migrate()
            self.assert_stays()
        for _attempt in range(3):
            self.engines['host2'].fail_next('start_container', BROKEN)
        self.migrate()
        self.assert_stays()
        self.assertEqual(suspended.CHECKPOINT, self.restored())
        self.migrate()
        self.assert_runs_at('host2')

    def test_answer_is_lost(self):
        """Then it goes on here, and not there as well."""
        restore = self.transfers._restore

        def lost(*arguments):
            restore(*arguments)
            raise exception.MigrationError(reason='no answer')
        self.transfers._restore = lost
        self.migrate()
        self.assert_stays()
        self.assertEqual(suspended.CHECKPOINT, self.restored())

    def test_the_other_host_is_away_for_a_while(self):
        self.transfers.fail_next('restore', exception.MigrationError(
            reason='no answer'))
        for _attempt in range(live_migration._ATTEMPTS - 1):
            self.transfers.fail_next('withdraw', exception.MigrationError(
                reason='no answer'))
        self.migrate()
        self.assert_stays()

    def test_nobody_knows_whether_it_runs_there(self):
        """Nova takes it for failed, and it runs here once it is known."""
        self.transfers.fail_next('restore', exception.MigrationError(
            reason='no answer'))
        for _attempt in range(live_migration._ATTEMPTS + 2):
            self.transfers.fail_next('withdraw', exception.MigrationError(
                reason='no answer'))
        self.assertRaises(exception.MigrationError, self.migrate)
        self.assertIsNone(self.outcome)
        self.assertRaises(exception.MigrationError, self.reboot)
        self.assertRaises(exception.InstanceFaultRollback, self.leave)
        self.at('host1')
        self.assertEqual('exited', self.state)
        self.assertEqual([OWN], list(self.containers()))
        self.instance.task_state = None
        self.restart()
        self.assert_runs_at('host1')
        self.assertEqual(suspended.CHECKPOINT, self.restored())

    def test_the_other_host_is_off(self):
        """As an administrator says, or it is none of Nova's any more."""
        for answer in (lambda *_: objects.Service(forced_down=True),
                       exception.ComputeHostNotFound(host='host2')):
            self.service.side_effect = answer
            self.transfers.fail_next('restore', exception.MigrationError(
                reason='no answer'))
            self.transfers.fail_next('withdraw', exception.MigrationError(
                reason='no answer'))
            self.migrate()
            self.assert_stays()
            self.assertEqual(suspended.CHECKPOINT, self.restored())

    def test_nova_does_not_say(self):
        self.service.side_effect = exception.NovaException('no conductor')
        self.test_nobody_knows_whether_it_runs_there()

    def test_starts_anew(self):
        """What can not be restored is given up by a hard reboot alone."""
        self.transfers.fail_next('finish', exception.MigrationError(
            reason='no'))
        for _attempt in range(3):
            self.engines['host1'].fail_next('start_container', BROKEN)
        self.assertRaises(exception.InternalError, self.migrate)
        self.assertEqual([suspended.CHECKPOINT],
                         self.engine.list_checkpoints(self.old))
        self.roll_back_there()
        self.reboot()
        self.assert_runs_at('host1')
        self.assertIsNone(self.restored())

    def test_ended_meanwhile(self):
        self.prepare()
        self.at('host1')
        self.engine.stop_container(self.old, 0)
        self.driver.live_migration(
            self.context, self.instance, 'host2', self.post, self.recover,
            False, self.data)
        self.assertEqual(('failed', 'exited'), (self.outcome, self.state))
        self.assert_nothing_at('host2')

    def test_checkpoint_is_lost(self):
        """It does not start anew by itself."""
        def lose(*_arguments):
            self.engines['host1'].remove_checkpoint(
                self.old, suspended.CHECKPOINT)
            raise exception.MigrationError(reason='no')
        self.useFixture(fixtures.MockPatchObject(
            self.transfers, '_finish', lose))
        error = self.assertRaises(exception.MigrationError, self.migrate)
        self.assertIn('the checkpoint of the server is gone', str(error))
        self.assertEqual('exited', self.state)

    def test_removal(self):
        """That it stays here for a while is no fault of the server."""
        self.engines['host1'].fail_next('remove_container', BROKEN)
        self.migrate()
        self.assertEqual('done', self.outcome)
        self.at('host1')
        self.assertEqual([OWN], list(self.containers()))
        self.driver.manage_image_cache(self.context, [])
        self.assert_runs_at('host2')

    def test_post_fails(self):
        """It runs there, and Nova notes that."""
        def fail(*arguments):
            self.instance.host = 'host2'
            self.instance.task_state = None
            raise exception.NovaException('no')
        self.prepare()
        self.at('host1')
        self.assertRaises(
            exception.NovaException, self.driver.live_migration,
            self.context, self.instance, 'host2', fail, self.recover, False,
            self.data)
        self.at('host2')
        self.driver.manage_image_cache(self.context, [])
        self.assert_runs_at('host2')


class AbortTest(LiveTestCase):

    def abort(self):
        self.at('host1')
        self.driver.live_migration_abort(self.instance)

    def test_while_it_is_sent(self):
        def send(*_arguments):
            self.abort()
            raise exception.MigrationError(reason='the receiver ended')
        self.useFixture(fixtures.MockPatchObject(
            self.transfers, '_finish', send))
        self.migrate()
        self.assertEqual('cancelled', self.outcome)
        self.assertIn('discard', [
            name.removeprefix('transfer_') for name, _args in
            self.compute.steps])
        self.assert_runs_at('host1')

    def test_just_sent(self):
        send = self.transfers._finish

        def abort(*arguments):
            sent = send(*arguments)
            self.abort()
            return sent
        self.useFixture(fixtures.MockPatchObject(
            self.transfers, '_finish', abort))
        self.migrate()
        self.assertEqual('cancelled', self.outcome)
        self.assert_runs_at('host1')

    def test_before_it_is_written_down(self):
        self.prepare()
        self.at('host1')
        end = suspended.end

        def abort(services, uuid):
            self.abort()
            end(services, uuid)
        with fixtures.MockPatchObject(suspended, 'end', abort):
            self.driver.live_migration(
                self.context, self.instance, 'host2', self.post,
                self.recover, False, self.data)
        self.assertEqual('cancelled', self.outcome)
        self.assert_runs_at('host1')
        self.assertIsNone(self.restored())

    def test_too_late(self):
        restore = self.transfers._restore

        def late(*arguments):
            error = self.assertRaises(exception.MigrationError, self.abort)
            self.assertIn('is being restored on host host2', str(error))
            restore(*arguments)
        self.transfers._restore = late
        self.migrate()
        self.assert_runs_at('host2')

    def test_nothing_to_abort(self):
        self.abort()
        self.assert_runs_at('host1')


class KilledTest(test_volumes_killed.Mixin, LiveTestCase):
    """A nova-compute ends before a step, on either host."""

    def setUp(self):
        super().setUp()
        for module, name in ((migrating, 'write'), (migrating, 'drop'),
                             (suspended, 'begin'), (spool, 'discard')):
            self.patch(module, name)

    def restart(self):
        """Of the host that was killed; Nova ends what it was at."""
        self.at(self.host)
        if self.instance.host == self.host:
            self.instance.task_state = None
        test_cold.ColdTestCase.restart(self)

    @contextlib.contextmanager
    def answering(self, host):
        """That host may be killed. The other one hears nothing then."""
        before = self.host
        try:
            with super().answering(host) as answers:
                yield answers
        except test_volumes_killed.Killed as killed:
            if host == before or not self.there:
                raise
            self.left = None
            self.at(host)
            self.restart()
            self.at(before)
            raise exception.MigrationError(
                reason='no answer') from killed

    def again(self):
        for host in test_cold.HOSTS:
            self.at(host)
            self.instance.task_state = task_states.DELETING
            self.destroy()
            self.assert_nothing_at(host)
        self.at('host1')
        self.instance.host = 'host1'
        self.instance.task_state = None
        self.spawned()
        self.old = self.container['Id']

    def settle(self):
        """What Nova does, and its operator, once both hosts are there."""
        for host in test_cold.HOSTS:
            self.at(host)
            self.driver.manage_image_cache(self.context, [])

    def test_source(self):
        self.there = False
        ends = set()
        for _killed in self.kills(self.migrate, 55):
            self.at('host1')
            self.instance.task_state = None
            self.restart()
            self.settle()
            ends.add(self.instance.host)
            self.assert_runs_at(self.instance.host)
            self.again()
        self.assert_runs_at('host2')
        self.assertEqual(set(test_cold.HOSTS), ends)

    def test_target(self):
        """It hears nothing of what came before, and the source goes on."""
        self.there = True
        for number in itertools.count():
            self.prepare()
            self.at('host1')
            self.compute.steps.clear()
            restore = self.transfers._restore

            def restoring(*arguments):
                self.left = number
                try:
                    restore(*arguments)
                finally:
                    self.killed, self.left = self.left is None, None
            with fixtures.MockPatchObject(
                    self.transfers, '_restore', restoring):
                self.driver.live_migration(
                    self.context, self.instance, 'host2', self.post,
                    self.recover, False, self.data)
            if not self.killed:
                break
            self.assert_runs_at('host1')
        self.assert_runs_at('host2')
        self.assertGreater(number, 5)
