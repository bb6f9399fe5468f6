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

"""What else a resize leaves: test_resize."""

from nova.compute import vm_states
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import base as verbs
from nova_docker.lifecycle import create
from nova_docker.lifecycle import left
from nova_docker.lifecycle import unconfirmed
from nova_docker.spec import names
from tests.unit.lifecycle import base

OWN = names.container_name(uuids.instance)
NAME = names.unconfirmed_name(uuids.instance)


class LeftTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.spawned((self.power_off,))
        self.old = self.container['Id']
        left.leave(self.services, self.instance, self.container)

    def move(self):
        return unconfirmed.read(self.compute.state_dir, uuids.instance)

    def named(self, name):
        return [each['Id'] for each in
                self.engine.list_containers([], [name])]

    def test_it_is_not_taken_for_the_instance_s(self):
        self.assertIsNone(verbs.find(self.services, uuids.instance))
        self.assertEqual([self.old], self.named(NAME))
        found = verbs.left(self.services, uuids.instance)
        self.assertEqual(self.old, found['Id'])

    def states(self):
        self.services.states.refresh(self.engine)
        known = self.services.states.get(uuids.instance)
        return known.container if known else None

    def make(self, filled):
        """A new container, as of a resize that was cut off after it."""
        return create.create(
            self.services, self.context, self.instance, self.image_meta,
            self.network_info, files=left.files(
                self.services, uuids.instance) if filled
            else create.Files(lambda _: None))

    def settle(self):
        for _twice in range(2):
            left.settle(self.services, self.instance)

    def assert_old(self):
        self.assertEqual([self.old], self.named(OWN))
        self.assertEqual('', self.move().container)

    def test_settle_without_a_new_one(self):
        self.settle()
        self.assert_old()

    def test_settle_with_a_new_one_that_lacks_files(self):
        self.make(filled=False)
        self.settle()
        self.assert_old()

    def test_settle_with_a_new_one_that_has_all_files(self):
        new = self.make(filled=True)
        self.settle()
        self.assertEqual([new], self.named(OWN))
        self.assertEqual([self.old], self.named(NAME))

    def test_settle_when_nova_has_the_new_flavor(self):
        """Another container is to be made, with the files of the old one."""
        self.make(filled=False)
        self.instance.flavor.flavorid = 'new'
        self.settle()
        self.assertEqual([], self.named(OWN))
        self.assertEqual(self.old, self.move().container)
        self.assertIsNotNone(left.files(self.services, uuids.instance))

    def test_settle_without_any(self):
        self.engine.remove_container(self.old)
        self.instance.flavor.flavorid = 'new'
        self.settle()
        self.assertEqual('', self.move().container)
        self.assertIsNone(left.files(self.services, uuids.instance))

    def test_state_is_that_of_the_new_one(self):
        new = self.make(filled=True)
        self.assertEqual(new, self.states())
        left.remove(self.services, uuids.instance)
        self.assertEqual(new, self.states())

    def test_end(self):
        """One whose resize can be reverted keeps it."""
        self.instance.vm_state = vm_states.RESIZED
        left.end(self.services, self.instance)
        self.assertEqual([self.old], self.named(NAME))
        self.instance.vm_state = vm_states.ACTIVE
        self.engine.fail_next('remove_container', errors.ServerError('', 500))
        left.end(self.services, self.instance)
        self.assertEqual([self.old], self.named(NAME))
        left.end(self.services, self.instance)
        self.assertEqual([], self.named(NAME))
        self.assertIsNone(self.move())

    def test_remove(self):
        for _twice in range(2):
            left.remove(self.services, uuids.instance)
            self.assertEqual([], self.named(NAME))
            self.assertIsNone(self.move())

    def test_removed_by_somebody(self):
        self.engine.remove_container(self.old)
        left.remove(self.services, uuids.instance)
        self.assertIsNone(self.move())
