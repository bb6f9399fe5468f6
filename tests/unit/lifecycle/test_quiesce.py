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

import fixtures
from nova.compute import power_state
from nova import exception

from nova_docker.engine import errors
from nova_docker.lifecycle import frozen
from nova_docker.lifecycle import quiesce
from tests.fixtures import starts
from tests.unit.lifecycle import base


class QuiesceTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.sync = self.useFixture(fixtures.MockPatchObject(
            quiesce.files, 'sync', autospec=True,
            side_effect=lambda: self.compute.steps.append(('sync', ())))).mock

    def quiesce(self):
        self.driver.quiesce(self.context, self.instance, self.image_meta)

    def unquiesce(self):
        self.driver.unquiesce(self.context, self.instance, self.image_meta)

    def power(self):
        return self.driver.get_info(self.instance, use_cache=False).state

    def test_freeze_and_thaw(self):
        self.quiesce()
        self.assertEqual('paused', self.state)
        self.assertEqual(['pause_container', 'sync'],
                         self.steps(('pause_container', 'sync')))
        self.unquiesce()
        self.assertEqual('running', self.state)

    def test_nova_sees_no_pause(self):
        self.quiesce()
        self.assertEqual(power_state.RUNNING, self.power())
        self.unquiesce()
        self.driver.pause(self.instance)
        self.assertEqual(power_state.PAUSED, self.power())

    def test_user_pauses_a_quiesced_one(self):
        self.quiesce()
        self.driver.pause(self.instance)
        self.assertEqual(power_state.PAUSED, self.power())

    def test_not_running(self):
        self.power_off()
        error = self.assertRaises(exception.InstanceQuiesceFailed,
                                  self.quiesce)
        self.assertIn('not running', error.format_message())
        self.assertEqual(set(), self.services.frozen)
        self.sync.assert_not_called()

    def test_engine_fails(self):
        self.engine.fail_next('pause_container',
                              errors.ServerError('no freezer', 500))
        self.assertRaises(exception.InternalError, self.quiesce)
        self.assertEqual('running', self.state)
        self.assertEqual(set(), self.services.frozen)

    def test_sync_fails(self):
        self.sync.side_effect = OSError('I/O error')
        self.assertRaises(OSError, self.quiesce)
        self.assertEqual('running', self.state)
        self.assertEqual(set(), self.services.frozen)

    def test_unquiesce_of_what_has_ended(self):
        self.quiesce()
        self.power_off()
        self.unquiesce()
        self.assertEqual('exited', self.state)
        self.quiesce_again_after(self.destroy)

    def test_volumes(self):
        self.quiesce()
        self.assertEqual(
            ['pause_container', 'sync', 'volume_freeze'],
            self.steps(('pause_container', 'sync', 'volume_freeze')))
        self.compute.steps.clear()
        self.unquiesce()
        self.assertEqual(['volume_thaw', 'unpause_container'], self.steps(
            ('unpause_container', 'volume_thaw')))
        self.compute.steps.clear()
        self.unquiesce()
        self.assertEqual([], self.steps(('volume_thaw',)))

    def test_volumes_can_not_be_frozen(self):
        self.compute.volumes.fail_next('freeze', OSError('I/O error'))
        self.assertRaises(OSError, self.quiesce)
        self.assertEqual('running', self.state)
        self.assertEqual([], frozen.instances(self.services))
        self.assertEqual({}, self.services.deadlines)

    def test_thawed_before_it_is_stopped(self):
        wanted = ('volume_thaw', 'stop_container', 'remove_container')
        for verb in (self.power_off, self.reboot, self.destroy):
            self.power_on()
            self.quiesce()
            self.compute.steps.clear()
            verb()
            self.assertEqual('volume_thaw', self.steps(wanted)[0])
            self.unquiesce()

    def test_overdue(self):
        self.useFixture(fixtures.MockPatchObject(quiesce, 'LIMIT', 0))
        self.quiesce()
        starts.wait_until(lambda: self.state == 'running')
        starts.wait_until(lambda: not frozen.instances(self.services))
        self.unquiesce()

    def test_overdue_and_paused_by_its_user(self):
        self.quiesce()
        timer = self.services.deadlines[self.instance.uuid]
        self.driver.pause(self.instance)
        timer.function(*timer.args)
        self.assertEqual('paused', self.state)
        self.assertEqual([], frozen.instances(self.services))
        # Nor by a start of nova-compute.
        self.driver = self.compute.driver()
        self.assertEqual('paused', self.state)

    def test_nova_compute_was_killed(self):
        self.quiesce()
        self.services.deadlines.pop(self.instance.uuid).cancel()
        self.compute.steps.clear()
        self.driver = self.compute.driver()
        self.assertEqual('running', self.state)
        self.assertIn('volume_thaw', self.steps(('volume_thaw',)))
        self.assertEqual([], frozen.instances(self.services))

    def test_container_is_gone_as_nova_compute_starts(self):
        self.quiesce()
        self.engine.stop_container(self.container['Id'], 0)
        self.driver = self.compute.driver()
        self.assertEqual([], frozen.instances(self.services))

    def test_nova_compute_ends(self):
        self.quiesce()
        timer = self.services.deadlines[self.instance.uuid]
        self.driver.cleanup_host('host1')
        timer.join(60)
        self.assertFalse(timer.is_alive())

    def quiesce_again_after(self, verb):
        self.power_on()
        self.quiesce()
        verb()
        self.assertEqual(set(), self.services.frozen)
        self.unquiesce()
