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

from oslotest import base

from nova_docker.spec import paths


class PathsTest(base.BaseTestCase):

    def test_plain(self):
        for path in ('/a', '/a b/\u00e9', '/...', '/' + 'x' * 255,
                     '/x' * 2047):
            self.assertTrue(paths.is_plain(path), path)

    def test_not_plain(self):
        for path in ('', '/', 'a', './a', '/a/', '//a', '/a//b', '/./a',
                     '/a/..', '/../a', '/a\0b', '/a\nb', '/\udc80',
                     '/' + 'x' * 256, '/' + '\u00e9' * 128, '/x' * 2048):
            self.assertFalse(paths.is_plain(path), path)

    def test_from_root(self):
        for path, wanted in (('/a', '/a'), ('a/b', '/a/b'), ('', '/')):
            self.assertEqual(wanted, paths.from_root(path))

    def test_within(self):
        self.assertTrue(paths.within('/proc', paths.KERNEL))
        self.assertTrue(paths.within('/dev/shm/a', paths.KERNEL))
        self.assertFalse(paths.within('/process', paths.KERNEL))
        self.assertFalse(paths.within('/a/proc', paths.KERNEL))
        self.assertFalse(paths.within('/proc', ()))
