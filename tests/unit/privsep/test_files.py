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
import stat
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.privsep import files
from tests.fixtures import privsep


class FilesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.directory = self.useFixture(fixtures.TempDir()).path

    def test_replace(self):
        path = os.path.join(self.directory, 'run', 'cdi', 'x.json')
        files.replace(path, 'old')
        with open(path) as old:
            files.replace(path, 'new')
            # A reader of the old file is not disturbed.
            self.assertEqual('old', old.read())
        with open(path) as new:
            self.assertEqual('new', new.read())
        self.assertEqual(['x.json'], os.listdir(os.path.dirname(path)))
        self.assertEqual(0o644, stat.S_IMODE(os.stat(path).st_mode))

    def test_replace_that_fails_leaves_nothing(self):
        path = os.path.join(self.directory, 'x')
        os.mkdir(path)
        self.assertRaises(OSError, files.replace, path, 'text')
        self.assertEqual(['x'], os.listdir(self.directory))

    def test_sync(self):
        with mock.patch.object(os, 'sync', autospec=True) as sync:
            files.sync()
        sync.assert_called_once_with()

    def test_remove(self):
        path = os.path.join(self.directory, 'x')
        files.replace(path, '')
        files.remove(path)
        files.remove(path)
        self.assertEqual([], os.listdir(self.directory))

    def test_write_tree(self):
        path = os.path.join(self.directory, 'x')
        os.mkdir(f'{path}.tmp')
        files.write_tree(path, [('a/b', b'1'), ('a/c', b'2')])
        self.assertEqual(0o700, stat.S_IMODE(os.stat(path).st_mode))
        self.assertEqual(0o600, stat.S_IMODE(
            os.stat(os.path.join(path, 'a', 'b')).st_mode))
        with open(os.path.join(path, 'a', 'c')) as file:
            self.assertEqual('2', file.read())
        self.assertEqual(['x'], os.listdir(self.directory))
        files.remove_tree(path)
        files.remove_tree(path)
        self.assertEqual([], os.listdir(self.directory))

    def test_write_tree_over_another(self):
        path = os.path.join(self.directory, 'x')
        files.write_tree(path, [('a', b'1')])
        self.assertRaises(OSError, files.write_tree, path, [('a', b'2')])
        with open(os.path.join(path, 'a')) as file:
            self.assertEqual('1', file.read())

    def test_remove_tree_follows_no_link(self):
        kept = os.path.join(self.directory, 'kept')
        files.replace(os.path.join(kept, 'file'), '')
        path = os.path.join(self.directory, 'x')
        os.mkdir(path)
        os.symlink(kept, os.path.join(path, 'link'))
        files.remove_tree(path)
        self.assertEqual(['file'], os.listdir(kept))
