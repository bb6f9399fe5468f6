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

import io
import json
import tarfile

from nova.compute import power_state
from nova.compute import task_states
from nova import exception
from nova import objects
from nova.virt import event as virtevent
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.spec import names
from tests.fixtures import starts
from tests.unit.lifecycle import base

PENDING = (task_states.IMAGE_PENDING_UPLOAD, None)
UPLOADING = (task_states.IMAGE_UPLOADING, task_states.IMAGE_PENDING_UPLOAD)


class SnapshotTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.engine.write_file(self.container['Id'], 'written', b'new' * 999)
        self.task_states = []
        self.on_state = lambda state: None

    def update_task_state(self, task_state, expected_state=None):
        self.task_states.append((task_state, expected_state))
        self.on_state(task_state)

    def snapshot(self):
        self.driver.snapshot(self.context, self.instance, uuids.snapshot,
                             self.update_task_state)

    def assert_no_trace(self):
        self.assertEqual([], self.engine.list_images(
            [f'{names.SNAPSHOT_REPOSITORY}/*']))
        self.assertEqual({}, self.services.uploads)
        self.assertEqual(set(), self.services.frozen)
        # The gate is free.
        with self.services.gate.turn(self.instance.uuid):
            pass

    def assert_failed(self, error):
        """It fails, and neither Glance nor the engine keeps anything."""
        found = self.assertRaises(error, self.snapshot)
        self.assertEqual({}, self.glance.uploads)
        self.assertIn(uuids.snapshot, self.glance.deleted)
        self.assert_no_trace()
        return found


class SnapshotTest(SnapshotTestCase):

    def test_running(self):
        self.snapshot()
        self.assertEqual([PENDING, UPLOADING], self.task_states)
        self.assertEqual('running', self.state)
        self.assertEqual(
            {'disk_format': 'raw', 'container_format': 'docker',
             'purge_props': False}, self.glance.updates[uuids.snapshot])
        with tarfile.open(fileobj=io.BytesIO(
                self.glance.uploads[uuids.snapshot])) as tar:
            manifest, = json.load(tar.extractfile('manifest.json'))
            layer = tar.extractfile(manifest['Layers'][-1]).read()
            config = json.load(tar.extractfile(manifest['Config']))
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            self.assertEqual(b'new' * 999, tar.extractfile('written').read())
        self.assertEqual({}, config['config']['Labels'])
        self.assertEqual([], self.glance.deleted)
        self.assert_no_trace()

    def test_paused_stays_so(self):
        self.driver.pause(self.instance)
        self.snapshot()
        self.assertEqual('paused', self.state)
        self.assertEqual(power_state.PAUSED,
                         self.driver.get_info(self.instance, False).state)
        self.assert_no_trace()

    def test_stopped(self):
        self.power_off()
        self.snapshot()
        self.assertEqual('exited', self.state)
        self.assertIn(uuids.snapshot, self.glance.uploads)
        self.assert_no_trace()

    def test_frozen_for_the_commit_only(self):
        self.glance.on_read = lambda size: self.assertEqual(
            (set(), 'running'), (self.services.frozen, self.state))
        self.snapshot()

    def test_others_may_act_during_the_upload(self):
        self.glance.on_read = lambda size: self.power_off()
        self.snapshot()
        self.assertEqual('exited', self.state)
        self.assertIn(uuids.snapshot, self.glance.uploads)

    def test_others_wait_for_the_commit(self):
        with self.engine.hang('commit_container'):
            taken = self.in_thread(self.snapshot)
            starts.wait_until(
                lambda: self.steps(('commit_container',)))
            stopped = self.in_thread(self.power_off)
            self.assertRaises(TimeoutError, stopped.result, 0.2)
        taken.result(60)
        stopped.result(60)

    def test_source_properties_go(self):
        self.glance.properties = {
            'docker_image_ref': 'r.example/a:b', 'docker_image_type': 'rootfs',
            'docker_env_A': '1', 'img_hv_type': 'docker', 'mine': 'too'}
        self.snapshot()
        self.assertEqual(
            {'disk_format': 'raw', 'container_format': 'docker',
             'properties': {'docker_env_A': '1', 'img_hv_type': 'docker',
                            'mine': 'too'}, 'purge_props': True},
            self.glance.updates[uuids.snapshot])

    def test_nova_sees_no_pause(self):
        told = []
        self.driver.register_event_listener(told.append)
        with self.engine.hang('commit_container'):
            taken = self.in_thread(self.snapshot)
            starts.wait_until(lambda: self.steps(('commit_container',)))
            self.engine.pause_container(self.container['Id'])
            starts.wait_until(lambda: self.services.states.get(
                self.instance.uuid).power == power_state.PAUSED)
            for use_cache in (True, False):
                self.assertEqual(power_state.RUNNING, self.driver.get_info(
                    self.instance, use_cache).state)
            self.engine.unpause_container(self.container['Id'])
        taken.result(60)
        # What Nova is told, it asks back for: it has to see it running.
        self.assertNotIn(virtevent.EVENT_LIFECYCLE_STOPPED,
                         [event.transition for event in told])
        self.assertEqual(power_state.RUNNING,
                         self.driver.get_info(self.instance, False).state)

    def test_names_are_not_used(self):
        self.instance.display_name = 'Ä b' * 85
        self.snapshot()
        self.assertIn(uuids.snapshot, self.glance.uploads)

    def test_several_hosts_on_one_engine(self):
        other = self.compute.driver('host2')
        self.assertRaises(
            exception.InstanceNotRunning, other.snapshot, self.context,
            self.instance, uuids.snapshot, self.update_task_state)
        self.snapshot()


class FaultTest(SnapshotTestCase):

    def test_no_container(self):
        self.destroy()
        self.assert_failed(exception.InstanceNotRunning)

    def test_deleted_while_it_waits(self):
        def deleting(state):
            raise exception.UnexpectedDeletingTaskStateError(
                instance_uuid=self.instance.uuid, expected={}, actual={})
        self.on_state = deleting
        self.assert_failed(exception.UnexpectedDeletingTaskStateError)

    def test_deleted_during_the_commit(self):
        with self.engine.hang('commit_container'):
            taken = self.in_thread(self.assert_failed,
                                   exception.InstanceNotFound)
            starts.wait_until(lambda: self.steps(('commit_container',)))
            deleted = self.in_thread(self.destroy)
            starts.wait_until(lambda: all(
                upload.cancelled for upload in
                self.services.uploads.values()))
        deleted.result(60)
        taken.result(60)
        self.assert_nothing_left()

    def test_deleted_during_the_upload(self):
        self.glance.on_read = lambda size: self.destroy()
        self.assert_failed(exception.InstanceNotFound)
        self.assert_nothing_left()

    def test_deleted_before_the_engine_sends(self):
        with self.engine.hold_saves():
            taken = self.in_thread(self.assert_failed,
                                   exception.InstanceNotFound)
            starts.wait_until(lambda: any(
                upload._stream for upload in self.services.uploads.values()))
            self.destroy()
            taken.result(60)
        self.assert_nothing_left()

    def test_another_one_is_deleted(self):
        other = base.make_instance(id=2, uuid=uuids.other)
        self.glance.on_read = lambda size: self.driver.destroy(
            self.context, other, [])
        self.snapshot()
        self.assertIn(uuids.snapshot, self.glance.uploads)

    def test_glance_fails(self):
        def fail(size):
            raise exception.GlanceConnectionFailed(server='g', reason='gone')
        self.glance.on_read = fail
        self.assert_failed(exception.GlanceConnectionFailed)
        self.assertEqual('running', self.state)

    def test_glance_fails_and_nova_tries_again(self):
        upload = self.glance.update

        def twice(*args, **kwargs):
            try:
                return upload(*args, **kwargs)
            except OSError:
                return upload(*args, **kwargs)

        def fail(size):
            raise OSError('broken pipe')
        self.glance.on_read = fail
        self.glance.update = twice
        self.assert_failed(exception.CouldNotUploadImage)

    def test_glance_has_less(self):
        self.glance.update = lambda *args, **kwargs: {'size': 5}
        self.assert_failed(exception.CouldNotUploadImage)

    def test_image_is_deleted(self):
        def fail(size):
            raise exception.ImageNotFound(image_id=uuids.snapshot)
        self.glance.on_read = fail
        self.assert_failed(exception.ImageNotFound)

    def test_engine_dies_during_the_upload(self):
        def die(size):
            self.engine.go_down()
        self.glance.on_read = die
        self.assertRaises(exception.HypervisorUnavailable, self.snapshot)
        self.assertEqual({}, self.glance.uploads)
        self.engine.come_up()
        self.driver.manage_image_cache(self.context, objects.InstanceList())
        self.assert_no_trace()

    def test_disk_full(self):
        self.engine.fail_next('commit_container', errors.ServerError(
            'no space left on device', 500))
        found = self.assert_failed(exception.InternalError)
        self.assertIn('no space left', found.format_message())
        self.assertEqual('running', self.state)

    def test_answer_of_the_commit_is_lost(self):
        self.engine.fail_next('commit_container', errors.Timeout('late'),
                              after=True)
        self.assert_failed(exception.HypervisorUnavailable)

    def leave_paused(self, then=lambda: None):
        """Fail a commit as an engine that dies in the middle."""
        commit = self.engine.commit_container

        def failing(name, reference):
            self.engine.pause_container(name)
            then()
            raise errors.Unavailable('gone')
        self.engine.commit_container = failing
        self.addCleanup(setattr, self.engine, 'commit_container', commit)
        self.assertRaises(exception.HypervisorUnavailable, self.snapshot)

    def test_engine_leaves_it_paused(self):
        self.leave_paused()
        self.assertEqual('running', self.state)
        self.assert_no_trace()

    def test_engine_that_left_it_paused_is_back(self):
        self.leave_paused(self.engine.go_down)
        self.engine.come_up()
        self.assertEqual('paused', self.state)
        starts.wait_until(lambda: self.state == 'running')
        starts.wait_until(lambda: not self.services.undone)
        self.assert_no_trace()

    def test_user_pauses_what_was_left_paused(self):
        self.leave_paused(lambda: self.engine.fail_next(
            'unpause_container', errors.Timeout('late')))
        self.driver.pause(self.instance)
        self.services.undone[self.instance.uuid]()
        self.assertEqual('paused', self.state)
        self.assertEqual({}, self.services.undone)
