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

"""What needs no root; with it: tests/integration/transfer/test_archive.py."""

import os
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.privsep import archive
from nova_docker.privsep import layer
from nova_docker.privsep import program
from tests.fixtures import privsep


class LayerTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.source, self.target = (
            self.useFixture(fixtures.TempDir()).join('diff')
            for _each in range(2))
        for path in self.source, self.target:
            os.mkdir(path)

    def test_copy(self):
        steps = mock.Mock()
        for module, name in (archive, 'copy'), (program, 'run'):
            self.useFixture(fixtures.MockPatchObject(
                module, name, getattr(steps, name)))
        os.makedirs(os.path.join(self.target, 'old', 'older'))
        os.symlink(self.source, os.path.join(self.target, 'away'))
        open(os.path.join(self.source, 'file'), 'w').close()
        layer.copy(self.source, self.target, 1)
        self.assertEqual([], os.listdir(self.target))
        self.assertEqual(['file'], os.listdir(self.source))
        self.assertEqual(
            [mock.call.copy(self.source, self.target, 1),
             # The old files may go as soon as the user confirms.
             mock.call.run('sync', '--file-system', self.target)],
            steps.mock_calls)

    def test_unpack(self):
        unpack = self.useFixture(fixtures.MockPatchObject(
            archive, 'unpack', autospec=True)).mock
        os.makedirs(os.path.join(self.target, 'old', 'older'))
        layer.unpack('/file', self.target, 1)
        self.assertEqual([], os.listdir(self.target))
        unpack.assert_called_once_with('/file', self.target, 1)

    def test_noted(self):
        folder = os.path.join(self.source, 'a', 'b')
        os.makedirs(folder)
        file, link = (os.path.join(folder, name) for name in ('f', 'l'))
        open(file, 'w').close()
        os.symlink('/', link)
        named = {self.source: ['trusted.overlay.opaque'],
                 folder: ['trusted.overlay.redirect', 'user.other'],
                 file: ['trusted.overlay.metacopy', 'trusted.other'],
                 link: ['trusted.overlay.opaque']}
        seen = self.useFixture(fixtures.MockPatchObject(
            layer.os, 'listxattr',
            side_effect=lambda path, **_options: named.get(path, []))).mock
        self.assertEqual(['metacopy', 'opaque', 'redirect'],
                         layer.noted(self.source))
        self.assertEqual(5, seen.call_count)

    def test_used(self):
        empty = layer.used(self.target)
        with open(os.path.join(self.target, 'file'), 'wb') as file:
            file.write(b'x' * (1 << 20))
            file.truncate(1 << 30)
        os.link(file.name, os.path.join(self.target, 'other'))
        self.assertIn((layer.used(self.target) - empty) >> 20, (1, 2))

    def test_no_directory(self):
        os.symlink(self.source, f'{self.source}.link')
        for source, target in ((f'{self.source}.link', self.target),
                               (self.source, f'{self.source}.link')):
            self.assertRaises(NotADirectoryError, layer.copy, source, target,
                              1)
        self.assertRaises(FileNotFoundError, layer.copy, '/absent',
                          self.target, 1)
