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

"""suspend and resume: what goes on, what is given up, what is refused."""

import os

import fixtures
from nova.compute import power_state
from nova.compute import task_states
from nova.compute import vm_states
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import suspend
from nova_docker.lifecycle import suspended
from nova_docker.network import sriov
from tests.unit.lifecycle import base
from tests.unit.lifecycle import test_volumes
from tests.unit.lifecycle import test_volumes_killed

BROKEN = errors.ServerError('criu failed', 500)


class Mixin:

    kind: str | None = 'checkpoint'

    def setUp(self):
        # init_host reads it; a fake engine has no CRIU.
        self.useFixture(fixtures.MockPatch(
            'nova_docker.host.checkpoints._BROKEN', 1000))
        super().setUp()
        if self.kind:
            self.flags(group='docker', suspend=self.kind, criu='')
        self.find = self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_by_uuid',
            return_value=self.instance)).mock
        self.ismount = self.useFixture(fixtures.MockPatchObject(
            os.path, 'ismount', autospec=True, return_value=True)).mock
        self.driver.init_host('host1')
        self.spawned()

    @property
    def power(self):
        return self.driver.get_info(self.instance, use_cache=False).state

    @property
    def restored(self):
        """Whether the processes are those of before, which go on."""
        return self.engine.restored(self.container['Id']) is not None

    @property
    def checkpoints(self):
        return self.engine.list_checkpoints(self.container['Id'])

    def suspend(self):
        self.driver.suspend(self.context, self.instance)

    def resume(self):
        self.driver.resume(self.context, self.instance, self.network_info,
                           self.info)

    def fails(self, words, verb):
        error = self.assertRaises(exception.InstanceFaultRollback, verb)
        self.assertIn(words, error.inner_exception.format_message())
        return error.inner_exception

    def assert_runs_on(self):
        self.assertEqual(('running', power_state.RUNNING),
                         (self.state, self.power))
        self.assertFalse(suspended.noted(self.services, self.instance.uuid))
        if self.kind == 'checkpoint':
            self.assertEqual([], self.checkpoints)

    def assert_suspended(self):
        self.assertEqual(('exited', power_state.SUSPENDED),
                         (self.state, self.power))
        self.assertEqual([suspended.CHECKPOINT], self.checkpoints)


class CheckpointTest(Mixin, base.LifecycleTestCase):

    def test_life(self):
        for _time in range(2):
            self.suspend()
            self.assert_suspended()
            self.resume()
            self.assert_runs_on()
            self.assertTrue(self.restored)
        self.destroy()
        self.assert_nothing_left()

    def test_ports(self):
        """They are kept: Neutron is not asked, and nothing flaps."""
        self.suspend()
        self.assertIn('set_down', self.steps({'set_down'}))
        self.resume()
        self.assertEqual([], self.steps({'unplug', 'make_pair'}))
        self.assertEqual(1, len(self.steps({'configure'})))

    def test_options_of_criu(self):
        path = self.engine.inspect_container(self.container['Id'])[
            'HostConfig']['Annotations']['org.criu.config']
        self.assertTrue(os.path.exists(path))

    def test_right_after_a_checkpoint(self):
        """An engine may know it still, and fails at the first try."""
        self.suspend()
        self.engine.fail_next('start_container', errors.ServerError(
            'already exists', 500))
        self.resume()
        self.assertTrue(self.restored)

    def test_one_of_before(self):
        """The engine ended it when nova-compute was killed, and had healed."""
        self.engine.give_checkpoint(self.container['Id'],
                                    suspended.CHECKPOINT)
        self.suspend()
        self.assert_suspended()
        self.resume()
        self.assert_runs_on()

    def test_the_engine_sees_its_end_late(self):
        """It was frozen for the checkpoint, and is listed so a while."""
        seen = iter(('running', 'paused', 'paused', 'exited'))
        self.useFixture(fixtures.MockPatchObject(
            suspend.base, 'get', autospec=True, side_effect=lambda *_: {
                **self.container, 'State': next(seen)}))
        self.suspend()
        self.assertEqual([], list(seen))

    def test_cannot_be_written_down(self):
        self.engine.fail_next('create_checkpoint', BROKEN)
        self.assertIsInstance(self.fails('criu failed', self.suspend),
                              exception.InstanceSuspendFailure)
        self.assert_runs_on()

    def test_long_reason(self):
        self.engine.fail_next('create_checkpoint', errors.ServerError(
            'x' * 300 + ' criu failed', 500))
        error = self.fails('criu failed', self.suspend)
        self.assertLess(len(error.format_message()), 255)

    def test_answer_is_lost(self):
        self.engine.fail_next('create_checkpoint', errors.Timeout('late'),
                              after=True)
        self.suspend()
        self.assert_suspended()

    def test_cannot_be_restored(self):
        """Nothing is lost: it may be tried again."""
        self.suspend()
        for _attempt in range(3):
            self.engine.fail_next('start_container', BROKEN)
        self.assertIsInstance(self.fails('criu failed', self.resume),
                              exception.InstanceResumeFailure)
        self.assert_suspended()
        self.resume()
        self.assert_runs_on()
        self.assertTrue(self.restored)

    def test_given_up(self):
        for verb in self.reboot, self.power_off:
            self.suspend()
            verb()
            self.assertEqual([], self.checkpoints)
            self.assertFalse(self.restored and self.state == 'running')
            self.assertIn(self.power,
                          (power_state.RUNNING, power_state.SHUTDOWN))
        self.power_on()
        self.assert_runs_on()

    def test_engine_makes_none_any_more(self):
        """Not even their list."""
        self.suspend()
        self.engine.details['ExperimentalBuild'] = False
        self.fails('experimental', self.resume)
        self.assertEqual(power_state.SUSPENDED, self.power)
        self.reboot()
        self.assertEqual(('running', power_state.RUNNING),
                         (self.state, self.power))

    def test_started_by_hand(self):
        """Its memory would not go with its files any more."""
        self.suspend()
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          self.container['Id'], 10)
        self.assert_suspended()
        self.resume()
        self.assertTrue(self.restored)

    def test_does_not_run(self):
        self.power_off()
        self.fails('does not run', self.suspend)
        self.assertEqual('exited', self.state)

    def test_is_gone(self):
        self.destroy()
        self.fails('could not be found', self.suspend)
        self.fails('could not be found', self.resume)

    def test_system_container(self):
        """What limits its control groups is not restored on cgroup v2."""
        self.instance.system_metadata[
            'image_docker_system_container'] = 'true'
        self.fails('system container', self.suspend)
        self.assert_runs_on()
        self.engine.details['CgroupVersion'] = '1'
        self.suspend()
        self.assert_suspended()

    def test_engine_of_its_own(self):
        self.instance.flavor.extra_specs = {'docker:nesting': 'true'}
        self.fails('docker:nesting', self.suspend)
        self.assert_runs_on()

    def test_virtual_function(self):
        self.useFixture(fixtures.MockPatchObject(
            sriov, 'names', autospec=True, return_value={'0000': 'vf'}))
        self.fails('network card', self.suspend)
        self.assert_runs_on()

    def test_nova_compute_restarts(self):
        self.suspend()
        self.instance.vm_state = vm_states.SUSPENDED
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        self.assert_suspended()
        self.resume()
        self.assertTrue(self.restored)

    def test_host_was_rebooted_while_it_was_suspended(self):
        """By its task: Nova goes on with nothing."""
        self.suspend()
        self.ismount.return_value = False
        self.instance.task_state = task_states.SUSPENDING
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        self.assert_suspended()
        self.reboot()
        self.assert_runs_on()

    def test_evacuated(self):
        """Its volumes are another host's by now."""
        self.suspend()
        self.instance.host = 'host2'
        self.instance.vm_state = vm_states.ACTIVE
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        self.assert_suspended()

    def test_trait(self):
        self.assertEqual('', self.services.options.suspend.refusal)
        self.assertTrue(self.services.options.suspend.checkpoint)


class NotExperimentalTest(Mixin, base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.engine.details['ExperimentalBuild'] = False
        self.driver.init_host('host1')

    def test_refused(self):
        self.fails('not experimental', self.suspend)
        self.assertEqual('running', self.state)


class VolumesTest(Mixin, test_volumes.VolumesTestCase):

    def test_block_device(self):
        self.attach()
        self.fails('as a block device', self.suspend)
        self.assert_runs_on()

    def test_mounted(self):
        self.volumes.metadata[uuids.volume] = {'docker_mount_path': '/data'}
        self.volumes.contents['/dev/loop1'] = {'TYPE': 'ext4'}
        self.attach()
        self.suspend()
        self.resume()
        self.assertTrue(self.restored)


class FreezeTest(Mixin, base.LifecycleTestCase):

    kind = 'freeze'

    def setUp(self):
        super().setUp()
        # Which knows no checkpoints.
        self.engine.details['ExperimentalBuild'] = False

    def test_life(self):
        self.suspend()
        self.assertEqual(('paused', power_state.SUSPENDED),
                         (self.state, self.power))
        self.resume()
        self.assert_runs_on()
        self.assertEqual(
            [False, True], [args[-1] for name, args in self.compute.steps
                            if name == 'set_carrier'])

    def test_cannot(self):
        self.engine.fail_next('pause_container', BROKEN)
        self.fails('criu failed', self.suspend)
        self.assert_runs_on()

    def test_lost(self):
        """The engine or the host has ended meanwhile."""
        self.suspend()
        self.engine.kill_container(self.container['Id'])
        self.assertEqual(power_state.SUSPENDED, self.power)
        self.resume()
        self.assert_runs_on()

    def test_given_up(self):
        self.suspend()
        self.reboot()
        self.assert_runs_on()


class RefuseTest(Mixin, base.LifecycleTestCase):

    kind = None

    def test_by_default(self):
        self.fails('disabled on this host', self.suspend)
        self.assert_runs_on()


class KilledTestCase(Mixin, test_volumes_killed.Mixin,
                     base.LifecycleTestCase):
    """What is cut off goes on, and an operator resets the state."""

    def setUp(self):
        super().setUp()
        self.patch(suspended, 'begin')
        self.patch(suspended, 'checkpoint')
        self.instance.vm_state = vm_states.ACTIVE


class CheckpointKilledTest(KilledTestCase):

    def test_suspend(self):
        self.instance.task_state = task_states.SUSPENDING
        for _killed in self.kills(self.suspend, 4):
            self.assert_runs_on()
        self.assert_suspended()

    def test_as_nova_writes_it_down(self):
        self.suspend()
        self.instance.task_state = task_states.SUSPENDING
        self.restart()
        self.assert_runs_on()
        self.assertTrue(self.restored)

    def test_resume(self):
        self.suspend()
        for _killed in self.kills(self.resumed, 12):
            self.assert_runs_on()
            self.assertTrue(self.restored)
            self.instance.vm_state = vm_states.ACTIVE
            self.suspend()
        self.assert_runs_on()

    def resumed(self):
        self.instance.vm_state = vm_states.SUSPENDED
        self.instance.task_state = task_states.RESUMING
        self.resume()


class FreezeKilledTest(KilledTestCase):

    kind = 'freeze'

    def test_suspend(self):
        self.instance.task_state = task_states.SUSPENDING
        for _killed in self.kills(self.suspend, 3):
            self.assert_runs_on()
        self.assertEqual('paused', self.state)

    def test_unknown_to_nova(self):
        self.suspend()
        self.find.side_effect = exception.InstanceNotFound(
            instance_id=self.instance.uuid)
        self.restart()
        self.assertEqual('paused', self.state)
