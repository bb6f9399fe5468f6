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


"""How the verbs find a container."""

from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.spec import names
from tests.unit.lifecycle import base as test_base


class FindTest(test_base.LifecycleTestCase):

    def test_no_container(self):
        self.assertIsNone(base.find(self.services, uuids.instance))
        error = self.assertRaises(
            exception.InstanceNotFound, base.get, self.services,
            uuids.instance)
        self.assertIn(uuids.instance, error.format_message())

    def test_by_label(self):
        self.spawn()
        for found in (base.find, base.get):
            self.assertEqual(self.container['Id'], found(
                self.services, uuids.instance)['Id'])

    def test_not_by_name(self):
        self.spawn()
        self.destroy()
        self.foreign_container(names.container_name(uuids.instance))
        self.assertIsNone(base.find(self.services, uuids.instance))

    def test_not_of_another_host(self):
        self.spawn()
        self.destroy()
        self.foreign_container(labels=names.labels(
            uuids.instance, 'n', 'host10', 'p'))
        self.assertIsNone(base.find(self.services, uuids.instance))

    def test_never_inspects(self):
        self.spawned()
        base.get(self.services, uuids.instance)
        self.assertEqual([], self.steps(('inspect_container',)))


class ExistingTest(test_base.LifecycleTestCase):

    def test_no_container(self):
        with self.assertRaisesRegex(exception.InstanceNotFound,
                                    uuids.instance):
            with base.existing(self.services, uuids.instance):
                self.fail('there is none')

    def test_gone_meanwhile(self):
        self.spawn()
        with self.assertRaisesRegex(exception.InstanceNotFound,
                                    uuids.instance):
            with base.existing(self.services, uuids.instance) as container:
                self.engine.remove_container(container['Id'])
                self.engine.pause_container(container['Id'])

    def test_other_errors(self):
        self.spawn()
        with self.assertRaisesRegex(errors.Conflict, 'not paused'):
            with base.existing(self.services, uuids.instance) as container:
                self.engine.unpause_container(container['Id'])
