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
import types
from unittest import mock

import fixtures
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.image import cache
from nova_docker.image import save
from nova_docker.lifecycle import left
from nova_docker.spec import names
from nova_docker.transfer import spool
from tests.fixtures import archives
from tests.unit.lifecycle import base


class ImageCacheTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.flags(remove_unused_original_minimum_age_seconds=100,
                   group='image_cache')
        self.now = 1000.0
        self.useFixture(fixtures.MockPatchObject(
            cache, 'time', types.SimpleNamespace(time=lambda: self.now)))

    def load(self, *references):
        """An image of its own under these references."""
        layer = archives.layer((references[0], b'x'))
        self.engine.load_image([archives.docker25([layer], tags=references)])

    def references(self):
        return sorted(tag for image in self.engine.list_images([])
                      for tag in image['RepoTags'])

    def manage(self, *instances, after=0):
        self.now += after
        self.driver.manage_image_cache(
            self.context, objects.InstanceList(objects=list(instances)))


class CacheImageTest(ImageCacheTestCase):

    def cache(self):
        return self.driver.cache_image(self.context, uuids.image)

    def test_once(self):
        self.assertIs(True, self.cache())
        self.assertIs(False, self.cache())
        self.assertEqual([names.image_reference(uuids.image, 'aa')],
                         self.references())
        self.assertEqual(1, len(self.steps(('load_image',))))

    def test_spawn_uses_it(self):
        self.cache()
        self.spawn()
        self.assertEqual(1, len(self.steps(('load_image',))))
        self.assertIs(False, self.cache())

    def test_is_as_young_as_its_last_request(self):
        self.cache()
        self.manage(after=99)
        self.cache()
        self.manage(after=99)
        self.assertIs(False, self.cache())
        self.manage(after=101)
        self.assertIs(True, self.cache())

    def test_not_acceptable(self):
        self.glance.data = b'junk' * 1000
        self.assertRaises(exception.ImageUnacceptable, self.cache)
        self.assertEqual([], self.references())


class ManageTest(ImageCacheTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.used, = self.references()
        self.other = names.image_reference(uuids.other, 'aa')

    def test_unused_goes_when_it_is_old(self):
        self.load(self.other)
        self.manage(after=99)
        self.manage(after=99)
        self.assertEqual(sorted([self.used, self.other]), self.references())
        self.manage(after=1)
        self.assertEqual([self.used], self.references())

    def test_age_counts_from_the_last_use(self):
        self.manage(after=1000)
        self.destroy()
        self.manage(after=99)
        self.assertEqual([self.used], self.references())
        self.manage(after=1)
        self.assertEqual([], self.references())

    def test_used_by_a_container_of_anybody(self):
        self.load(self.other)
        self.engine.create_container('foreign', {'Image': self.other})
        self.manage(after=1000)
        self.manage(after=1000)
        self.assertIn(self.other, self.references())

    def test_used_by_an_instance_without_a_container(self):
        self.destroy()
        self.manage(self.instance, after=1000)
        self.manage(self.instance, after=1000)
        self.assertEqual([self.used], self.references())

    def test_instance_without_an_image(self):
        self.destroy()
        volume_backed = base.make_instance(image_ref='')
        self.manage(volume_backed, after=0)
        self.manage(volume_backed, after=1000)
        self.assertEqual([], self.references())

    def test_from_another_host(self):
        """As any other, but for one that files lie upon which have come."""
        references = [carried for _of_glance, carried in (
            names.base_references(names.image_reference(image, 'aa'))
            for image in (uuids.other, uuids.base))]
        for reference in references:
            self.load(reference)
        made = spool.begin(self.compute.state_dir, uuids.moved)
        with open(os.path.join(made, left._BASE), 'w') as file:
            file.write(names.image_reference(uuids.base, 'aa'))
        spool.finish(made)
        with mock.patch.object(objects.Instance, 'get_by_uuid', autospec=True,
                               side_effect=exception.NovaException()):
            self.manage()
            self.manage(after=100)
        self.assertEqual(sorted([self.used, references[1]]),
                         self.references())

    def test_other_images_are_not_touched(self):
        foreign = ['busybox:1', 'nova-docker.example/glance/a:b',
                   'registry.example/glance/a:b']
        self.load(*foreign, self.other)
        self.manage()
        self.manage(after=1000)
        self.assertEqual(sorted([self.used, *foreign]), self.references())

    def test_every_kind_of_image(self):
        kinds = [f'{names.image_prefix(uuids.other)}{tag}'
                 for tag in ('sha256-' + 'a' * 64, 'b')]
        for kind in kinds:
            self.load(kind)
        self.manage(base.make_instance(image_ref=uuids.other), after=1000)
        self.manage(base.make_instance(image_ref=uuids.other), after=1000)
        self.assertEqual(sorted([self.used, *kinds]), self.references())
        self.manage(after=100)
        self.assertEqual([self.used], self.references())

    def test_never(self):
        self.flags(remove_unused_base_images=False, group='image_cache')
        self.load(self.other, names.snapshot_reference(uuids.x, 'host1'))
        self.manage()
        self.manage(after=10000)
        self.assertEqual(sorted([self.used, self.other]), self.references())

    def test_survives_a_restart(self):
        self.load(self.other)
        self.manage()
        self.driver = self.compute.driver()
        self.manage(after=100)
        self.assertEqual([self.used], self.references())

    def test_what_cannot_be_removed(self):
        self.load(self.other)
        self.manage()
        self.engine.fail_next('remove_image', errors.Conflict('in use', 409))
        self.manage(after=100)
        self.assertIn(self.other, self.references())
        self.manage()
        self.assertNotIn(self.other, self.references())

    def test_constant_number_of_requests(self):
        for number in range(20):
            self.load(names.image_reference(f'{number}', 'aa'))
        self.compute.steps.clear()
        self.manage()
        self.assertLessEqual(len(self.compute.steps), 4)

    def test_no_engine(self):
        self.engine.go_down()
        self.assertRaises(exception.HypervisorUnavailable, self.manage)


class LeftoversTest(ImageCacheTestCase):

    def setUp(self):
        super().setUp()
        self.left = names.snapshot_reference(uuids.snapshot, 'host1')
        self.load(self.left)

    def test_go_at_once(self):
        self.manage()
        self.assertEqual([], self.references())

    def test_go_as_nova_compute_starts(self):
        self.compute.driver()
        self.assertEqual([], self.references())

    def test_engine_fails_as_nova_compute_starts(self):
        self.engine.fail_next('list_images', errors.ServerError('no', 500))
        self.compute.driver()
        self.assertEqual([self.left], self.references())

    def test_in_progress(self):
        self.services.uploads[self.left] = save.Upload('i', 'u')
        self.manage()
        self.assertEqual([self.left], self.references())

    def test_of_another_host(self):
        self.compute.driver('host2')
        self.assertEqual([self.left], self.references())
