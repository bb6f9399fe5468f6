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

import os

import fixtures
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import registry as fake
from tests.fixtures import tls
from tests.unit.lifecycle import base

KEY = 'docker_image_reference'


class PinsTest(base.LifecycleTestCase):
    """An instance of a tag that moves."""

    def setUp(self):
        super().setUp()
        self.fake = self.useFixture(fake.Registry(
            self.useFixture(tls.Authority())))
        self.image = self.push('1')
        self.tag = f'{self.fake.host}/app:1'
        path = self.useFixture(fixtures.TempDir()).join('registries.ini')
        with open(path, 'w') as file:
            file.write(f'[{self.fake.host}]\nca_file={self.fake.ca_file}\n')
        self.flags(group='docker', allowed_registries=[self.fake.host],
                   registries_file=path)
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        self.instance.system_metadata['image_docker_image_ref'] = self.tag
        self.glance.get = lambda context, image_id: {
            'id': image_id, 'disk_format': 'raw', 'size': 0,
            'container_format': 'docker',
            'properties': {'docker_image_ref': self.tag}}
        self.saved = self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True)).mock

    def push(self, tag):
        return self.fake.push('app', tag, [archives.layer(
            ('hello', os.urandom(10)))])

    @property
    def digest(self):
        """That of the image that the container is of."""
        return names.pulled_digest(self.engine.inspect_container(
            names.container_name(uuids.instance))['Config']['Image'])

    def lose(self):
        """The container and the image, and move the tag."""
        self.engine.remove_container(names.container_name(uuids.instance))
        for image in self.engine.list_images(()):
            self.engine.remove_image(image['RepoTags'][0])
        self.push('1')

    def test_stored_at_the_first_spawn(self):
        self.spawn()
        self.assertEqual(self.image['digest'], self.digest)
        self.assertEqual(
            names.pulled_reference(uuids.image, self.tag,
                                   self.image['digest']),
            self.instance.system_metadata[KEY])
        self.assertEqual(1, self.saved.call_count)

    def test_cached_before(self):
        self.assertIs(True, self.driver.cache_image(
            self.context, uuids.image))
        self.push('1')
        self.spawn()
        self.assertEqual(self.image['digest'], self.digest)

    def test_fits_into_the_database(self):
        self.assertLess(len(names.pulled_reference(
            uuids.image, 'a' * 1000, self.image['digest'])), 256)

    def test_same_image_after_a_loss(self):
        self.spawn()
        self.lose()
        self.reboot()
        self.assertEqual(self.image['digest'], self.digest)
        self.assertEqual(1, self.saved.call_count)

    def test_same_image_on_another_host(self):
        # As evacuate, unshelve and rebuild do it.
        self.spawn()
        self.lose()
        self.spawn()
        self.assertEqual(self.image['digest'], self.digest)

    def test_rebuild_to_another_place(self):
        self.spawn()
        self.lose()
        self.tag = f'{self.fake.host}/app:2'
        second = self.push('2')
        self.instance.system_metadata['image_docker_image_ref'] = self.tag
        self.spawn()
        self.assertEqual(second['digest'], self.digest)
        self.assertIn(second['digest'].partition(':')[2],
                      self.instance.system_metadata[KEY])

    def test_rebuild_to_another_image_of_the_same_place(self):
        self.spawn()
        self.lose()
        self.instance.image_ref = uuids.second
        self.image_meta = objects.ImageMeta.from_dict({
            'id': uuids.second, 'disk_format': 'raw', 'size': 0,
            'container_format': 'docker'})
        self.spawn()
        self.assertNotEqual(self.image['digest'], self.digest)

    def test_image_that_is_in_glance(self):
        del self.instance.system_metadata['image_docker_image_ref']
        self.spawn()
        self.assertNotIn(KEY, self.instance.system_metadata)
        self.saved.assert_not_called()

    def test_image_of_a_rescue_is_not_the_instances(self):
        self.spawn()
        before = self.instance.system_metadata[KEY]
        self.image_meta = objects.ImageMeta.from_dict({
            'id': uuids.rescue, 'disk_format': 'raw', 'size': 0,
            'container_format': 'docker'})
        self.lose()
        self.spawn()
        self.assertEqual(before, self.instance.system_metadata[KEY])

    def test_not_allowed(self):
        self.tag = 'registry.example.org/app:1'
        error = self.assertRaises(exception.ImageUnacceptable, self.spawn)
        self.assertIn('registry.example.org/app', error.format_message())
        self.assert_nothing_left()
