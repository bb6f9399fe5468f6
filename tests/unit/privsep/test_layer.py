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

"""What needs no root; with it: tests/integration/volume/test_layer.py."""

import os

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import layer
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
        with open(os.path.join(self.source, 'file'), 'wb') as file:
            file.write(b'kept')
            file.truncate(100 << 20)
        os.link(file.name, os.path.join(self.source, 'other'))
        os.symlink('/absent', os.path.join(self.source, 'link'))
        os.makedirs(os.path.join(self.target, 'old', 'older'))
        os.symlink(self.source, os.path.join(self.target, 'away'))
        layer.copy(self.source, self.target)
        self.assertEqual({'file', 'link', 'other'},
                         set(os.listdir(self.target)))
        self.assertEqual(3, len(os.listdir(self.source)))
        found = os.stat(os.path.join(self.target, 'file'))
        self.assertEqual((100 << 20, 2), (found.st_size, found.st_nlink))
        self.assertLess(found.st_blocks * 512, 1 << 20)
        self.assertEqual('/absent', os.readlink(
            os.path.join(self.target, 'link')))

    def test_no_directory(self):
        os.symlink(self.source, f'{self.source}.link')
        for source, target in ((f'{self.source}.link', self.target),
                               (self.source, f'{self.source}.link')):
            self.assertRaises(NotADirectoryError, layer.copy, source, target)
        self.assertRaises(FileNotFoundError, layer.copy, '/absent',
                          self.target)

    def test_program_fails(self):
        self.useFixture(fixtures.MockPatchObject(
            layer, '_WHOLE', ('--no-such-option',)))
        error = self.assertRaises(processutils.ProcessExecutionError,
                                  layer.copy, self.source, self.target)
        self.assertIn('no-such-option', error.stderr)
