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

"""What is kept of a suspended instance; test_suspend.py, too."""

import os

from nova_docker.lifecycle import suspended
from nova_docker.network import plans
from tests.unit.lifecycle import base


class SuspendedTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.uuid = self.instance.uuid

    def test_begun_and_ended(self):
        self.assertFalse(suspended.noted(self.services, self.uuid))
        suspended.begin(self.services, self.uuid, None)
        self.assertEqual([self.uuid], suspended.instances(self.services))
        suspended.end(self.services, self.uuid)
        suspended.end(self.services, self.uuid)
        self.assertEqual([], suspended.instances(self.services))

    def test_checkpoint_goes_first(self):
        """What is noted tells of it, should it be cut off."""
        suspended.begin(self.services, self.uuid, suspended.CHECKPOINT)
        self.engine.create_checkpoint(self.container['Id'],
                                      suspended.CHECKPOINT)
        self.assertEqual(suspended.CHECKPOINT, suspended.checkpoint(
            self.services, self.uuid, self.container))
        noted = []
        self.compute.steps.before = lambda name: (
            name == 'remove_checkpoint' and noted.append(
                suspended.noted(self.services, self.uuid)))
        suspended.end(self.services, self.uuid)
        self.assertEqual([True], noted)
        self.assertEqual([], self.engine.list_checkpoints(
            self.container['Id']))

    def test_only_ours(self):
        suspended.begin(self.services, self.uuid, suspended.CHECKPOINT)
        self.engine.create_checkpoint(self.container['Id'], 'another')
        self.assertIsNone(suspended.checkpoint(
            self.services, self.uuid, self.container))

    def test_goes_with_the_instance(self):
        suspended.begin(self.services, self.uuid, None)
        self.destroy()
        self.assertFalse(os.path.exists(plans.instance_dir(
            self.compute.state_dir, self.uuid)))
