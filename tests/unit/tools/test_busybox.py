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

import hashlib
import json
import pathlib
import tarfile
from unittest import mock

import fixtures
from oslotest import base

from evalcloud import busybox


class WriteArchiveTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        program = folder / 'busybox'
        program.write_text('#!/bin/sh\nprintf "sh\\nls\\nbusybox\\n"\n')
        program.chmod(0o755)
        self.useFixture(fixtures.MockPatchObject(
            busybox, 'program', autospec=True, return_value=program))
        self.file = folder / 'image.tar'
        self.size = program.stat().st_size

    def _read(self, *command):
        busybox.write_archive(self.file, command)
        archive = tarfile.open(self.file)
        self.addCleanup(archive.close)
        manifest, = json.load(archive.extractfile('manifest.json'))
        config = json.load(archive.extractfile(manifest['Config']))
        name, = manifest['Layers']
        return archive, manifest, config, name

    def test_layer(self):
        archive, _manifest, config, name = self._read()
        data = archive.extractfile(name).read()
        self.assertEqual(['sha256:' + hashlib.sha256(data).hexdigest()],
                         config['rootfs']['diff_ids'])
        with tarfile.open(fileobj=archive.extractfile(name)) as layer:
            self.assertEqual(self.size, layer.getmember('bin/busybox').size)
            self.assertEqual('busybox', layer.getmember('bin/sh').linkname)
            self.assertTrue(layer.getmember('bin/busybox').isfile())
            self.assertEqual(0o1777, layer.getmember('tmp').mode)
            self.assertEqual(0o600, layer.getmember('etc/shadow').mode)
            self.assertEqual(0o755, layer.getmember(
                'etc/udhcpc/default.script').mode)
            self.assertIn(b'root:x:0:0:',
                          layer.extractfile('etc/passwd').read())

    def test_command(self):
        _archive, manifest, config, _name = self._read('sleep', '9')
        self.assertEqual(['sleep', '9'], config['config']['Cmd'])
        self.assertEqual(['busybox:latest'], manifest['RepoTags'])

    def test_default_command_shows_the_network_first(self):
        _archive, _manifest, config, _name = self._read()
        self.assertTrue(config['config']['Cmd'][-1].startswith(
            'ip addr; ip route;'))


class BinaryTest(base.BaseTestCase):

    def test_unpacked_once(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.EnvironmentVariable(
            'NOVA_DOCKER_CACHE', str(folder)))

        def unpack(_names, _suite, target):
            (target / 'bin').mkdir(parents=True)
            (target / 'bin' / 'busybox').touch()
        with mock.patch.object(busybox.packages, 'unpack', autospec=True,
                               side_effect=unpack) as unpacked:
            first, second = busybox.program(), busybox.program()
        self.assertEqual(folder / 'busybox' / 'bin' / 'busybox', first)
        self.assertEqual(first, second)
        unpacked.assert_called_once()
