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
from unittest import mock

import fixtures
from nova import test

from nova_docker.engine import errors
from nova_docker.image import cache
from tests.fixtures import archives
from tests.fixtures import engine


class AgeTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.time = self.useFixture(fixtures.MockPatchObject(
            cache.time, 'time', return_value=1000.0)).mock

    def age(self, at, present, used=(), minimum_age=10):
        self.time.return_value = float(at)
        return cache.age(self.directory, present, used, minimum_age)

    def test_since_last_used(self):
        self.assertEqual([], self.age(1000, ['a', 'b'], ['a', 'b']))
        self.assertEqual([], self.age(1008, ['a', 'b'], ['b']))
        self.assertEqual(['a'], self.age(1010, ['a', 'b'], ['b']))
        self.assertEqual([], self.age(1019, ['b'], []))
        self.assertEqual(['b'], self.age(1020, ['b'], []))

    def test_since_first_seen(self):
        self.assertEqual([], self.age(1000, ['a']))
        self.assertEqual([], self.age(1009, ['a']))
        self.assertEqual(['a'], self.age(1010, ['a']))

    def test_since_it_was_loaded_or_made_a_container_of(self):
        self.age(1000, ['a'])
        self.time.return_value = 1009.0
        cache.use(self.directory, 'a')
        self.assertEqual([], self.age(1018, ['a']))
        self.assertEqual(['a'], self.age(1019, ['a']))

    def test_what_has_gone_is_new_again(self):
        self.age(1000, ['a'])
        self.age(1005, [])
        self.assertEqual([], self.age(1010, ['a']))

    def test_used_is_never_too_old(self):
        self.assertEqual(['a'], self.age(1000, ['a', 'b'], ['b'],
                                         minimum_age=0))

    def test_no_sense_on_disk(self):
        with open(os.path.join(self.directory, 'images.json'), 'w') as file:
            file.write('{"a": 1')
        self.assertEqual([], self.age(1000, ['a']))
        self.assertEqual(['a'], self.age(1010, ['a']))

    def test_written_only_when_something_changes(self):
        self.age(1000, ['a'])
        with mock.patch.object(os, 'rename', autospec=True) as rename:
            self.age(1001, ['a'])
        rename.assert_not_called()
        self.assertEqual(['images.json'], os.listdir(self.directory))


class RemoveTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        layer = archives.layer(('a', b'x'))
        self.engine.load_image([archives.docker25(
            [layer], tags=['nova-docker.invalid/glance/a:b', 'other:1'])])

    def test_only_the_reference(self):
        cache.remove(self.engine, 'nova-docker.invalid/glance/a:b')
        self.assertEqual(
            ['other:1'], self.engine.inspect_image('other:1')['RepoTags'])

    def test_absent(self):
        cache.remove(self.engine, 'nova-docker.invalid/glance/b:b')

    def test_what_cannot_be(self):
        log = self.useFixture(fixtures.FakeLogger())
        for error in (errors.Conflict('in use', 409),
                      errors.Unavailable('gone')):
            self.engine.fail_next('remove_image', error)
            cache.remove(self.engine, 'nova-docker.invalid/glance/a:b')
            self.assertIn(str(error), log.output)
