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

"""Images out of the real engine, with both of its image stores."""

from nova_docker.image import save
from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import busybox
from tests.integration.image import base

REFERENCE = names.snapshot_reference('image', 'host1')


class Cases:
    """What holds for each store."""

    def setUp(self):
        super().setUp()
        self.load(busybox.archive(), 'busybox:latest')
        container = self.client.create_container(
            'busybox:latest', ['/bin/new'], environment=['A=1'],
            user='1000', hostname='web',
            labels={names.LABEL_INSTANCE: 'x', 'mine': 'too'})['Id']
        self.client.put_archive(container, '/', archives.layer(
            ('bin/new', b'#!/bin/sh\necho new file\n')))
        self.engine.commit_container(container, REFERENCE)
        self.client.remove_container(container)
        self.upload = save.Upload('image', 'x')

    def test_what_comes_out_goes_in(self):
        with self.upload.file(self.engine, REFERENCE) as file:
            data = b''.join(iter(lambda: file.read(1 << 16), b''))
        self.assertEqual(len(data), file.size)
        committed = self.engine.inspect_image(REFERENCE)
        self.engine.remove_image(REFERENCE)
        image = self.ensure(data)
        found = self.engine.inspect_image(image.reference)
        self.assertEqual(committed['RootFS'], found['RootFS'])
        self.assertEqual({'mine': 'too'}, found['Config']['Labels'])
        self.assertEqual('1000', found['Config']['User'])
        self.assertEqual(['/bin/new'], found['Config']['Cmd'])
        self.assertIn('A=1', found['Config']['Env'])
        self.assertFalse(found['Config'].get('Hostname'))
        self.assertEqual('new file', self.run_in(image.reference, '/bin/new'))

    def test_engine_loads_it_without_the_driver(self):
        with self.upload.file(self.engine, REFERENCE) as file:
            data = b''.join(iter(lambda: file.read(1 << 16), b''))
        before = set(self.tags())
        self.engine.load_image([data])
        loaded, = {*self.tags()} - before
        self.assertEqual('new file', self.run_in(loaded, '/bin/new'))
        self.engine.remove_image(loaded)
        self.engine.remove_image(REFERENCE)

    def test_called_off_leaves_nothing(self):
        with self.upload.file(self.engine, REFERENCE) as file:
            file.read(1000)
            self.upload.cancel()
        self.engine.remove_image(REFERENCE)


class ClassicStoreTestCase(Cases, base.ClassicStore):
    """overlay2."""


class ContainerdStoreTestCase(Cases, base.ContainerdStore):
    """The containerd image store."""
