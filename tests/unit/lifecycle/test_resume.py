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

"""What comes of instances that ended with their engine."""

from unittest import mock

import fixtures
from nova.compute import api
from nova.compute import task_states
from nova.compute import vm_states
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import resume
from nova_docker.spec import names
from tests.fixtures import starts
from tests.unit.lifecycle import base


class ResumeTest(base.LifecycleTestCase):

    def setUp(self):
        # init_host reads it.
        self.flags(resume_guests_state_on_host_boot=True)
        super().setUp()
        self.reboot_by_nova = self.useFixture(fixtures.MockPatchObject(
            api, 'API', autospec=True)).mock.return_value.reboot
        self.find = self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_by_uuid',
            return_value=self.instance)).mock
        self.instance.vm_state = vm_states.ACTIVE
        self.instance.task_state = None

    def after_engine(self):
        return resume.after_engine(self.services, uuids.instance)

    def assert_left_alone(self):
        self.assertFalse(self.after_engine())
        self.reboot_by_nova.assert_not_called()

    def test_started_again(self):
        self.assertTrue(self.after_engine())
        self.reboot_by_nova.assert_called_once_with(
            mock.ANY, self.instance, 'HARD')

    def test_as_the_engine_comes_back(self):
        self.spawn()
        self.engine.go_down()
        self.engine.exit(names.container_name(uuids.instance))
        self.engine.come_up()
        starts.wait_until(lambda: self.reboot_by_nova.called)

    def test_operator_does_not_want_it(self):
        self.flags(resume_guests_state_on_host_boot=False)
        self.driver.init_host('host1')
        self.assert_left_alone()

    def test_not_to_be_active(self):
        for state in (vm_states.PAUSED, vm_states.STOPPED, vm_states.ERROR):
            self.instance.vm_state = state
            self.assert_left_alone()

    def test_evacuated(self):
        self.instance.host = 'host2'
        self.assert_left_alone()

    def test_has_a_task(self):
        self.instance.task_state = task_states.POWERING_OFF
        self.assert_left_alone()

    def test_got_a_task_meanwhile(self):
        self.reboot_by_nova.side_effect = exception.InstanceInvalidState(
            attr='task_state', instance_uuid=uuids.instance,
            state='deleting', method='reboot')
        self.assertFalse(self.after_engine())

    def test_is_gone(self):
        self.find.side_effect = exception.InstanceNotFound(
            instance_id=uuids.instance)
        self.assert_left_alone()
