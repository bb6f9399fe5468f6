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

import io
import json
import pathlib
import tarfile

import fixtures
from oslotest import base

from nova_docker.image import archive
from nova_docker import osc
from nova_docker.osc import layout
from tests.fixtures import archives

LAYER = archives.layer(('hello', b'hello' * 1000))
OTHER = archives.layer(('other', b'other'))


class LayoutTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path) / 'layout'

    def unpack(self, data):
        with tarfile.open(fileobj=io.BytesIO(data)) as members:
            members.extractall(self.folder, filter='data')

    def two_images(self):
        """A layout of two images, with names in its index."""
        images = []
        for name, layer in (('one', LAYER), ('two', OTHER)):
            self.unpack(archives.oci([layer]))
            index = json.loads((self.folder / 'index.json').read_text())
            image, = index['manifests']
            image['annotations'] = {'org.opencontainers.image.ref.name': name}
            images.append(image)
        (self.folder / 'index.json').write_text(
            json.dumps({'manifests': images}))

    def pack(self, tag=None):
        found = layout.Layout(self.folder, tag)
        data = b''.join(found.chunks())
        self.assertEqual(len(data), found.size)
        return data

    def facts(self, data):
        rewriter = archive.Rewriter(io.BytesIO(data), 'x:y', 'amd64')
        for _piece in rewriter:
            pass
        return rewriter.facts

    def refused(self, text, tag=None):
        error = self.assertRaises(osc.SourceError, self.pack, tag)
        self.assertIn(text, str(error))
        self.assertNotIn('\n', str(error))

    def test_one_image(self):
        self.unpack(archives.oci([LAYER, OTHER]))
        self.assertEqual(len(LAYER) + len(OTHER),
                         self.facts(self.pack()).unpacked_size)

    def test_same_archive_each_time(self):
        self.unpack(archives.oci([LAYER]))
        self.assertEqual(self.pack(), self.pack())

    def test_one_of_two(self):
        self.two_images()
        self.assertEqual(len(LAYER),
                         self.facts(self.pack('one')).unpacked_size)
        data = self.pack('two')
        self.assertEqual(len(OTHER), self.facts(data).unpacked_size)
        self.assertNotIn(archives.digest(LAYER).encode(), data)

    def test_several_are_refused_where_one_is_needed(self):
        self.two_images()
        self.assertRaises(archive.Refused, self.facts, self.pack())

    def test_no_such_tag(self):
        self.two_images()
        self.refused('has no image three; it has one, two', 'three')

    def test_other_files_are_not_sent(self):
        self.unpack(archives.oci([LAYER]))
        (self.folder / 'private').write_text('secret')
        (self.folder / 'blobs/sha256' / ('0' * 64)).write_text('secret')
        self.assertNotIn(b'secret', self.pack())

    def test_no_layout(self):
        self.refused('index.json: No such file')
        self.folder.mkdir()
        (self.folder / 'index.json').write_text('{')
        self.refused('index.json is not valid')

    def test_file_elsewhere(self):
        """Somebody else's layout must not name the user's files."""
        self.folder.mkdir()
        for digest in ('../../etc/passwd', 'sha256:../../../etc/passwd', 1):
            (self.folder / 'index.json').write_text(
                json.dumps({'manifests': [{'digest': digest}]}))
            self.refused('odd digest')

    def test_index_that_names_itself(self):
        digest = 'sha256:' + '0' * 64
        index = json.dumps({'manifests': [{'digest': digest}]})
        blobs = self.folder / 'blobs/sha256'
        blobs.mkdir(parents=True)
        for path in (self.folder / 'index.json', blobs / ('0' * 64)):
            path.write_text(index)
        self.assertRaises(archive.Refused, self.facts, self.pack())

    def test_incomplete(self):
        self.unpack(archives.oci([LAYER]))
        for blob in (self.folder / 'blobs/sha256').iterdir():
            data = blob.read_bytes()
            blob.unlink()
            self.refused('is incomplete')
            blob.write_bytes(data)

    def test_changes_while_it_is_read(self):
        self.unpack(archives.oci([LAYER]))
        found = layout.Layout(self.folder)
        for blob in (self.folder / 'blobs/sha256').iterdir():
            blob.write_bytes(b'more' + blob.read_bytes())
        self.assertRaises(osc.SourceError, list, found.chunks())
