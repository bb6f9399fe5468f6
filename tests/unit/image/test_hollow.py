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

from oslotest import base

from nova_docker.image import archive
from nova_docker.image import hollow
from nova_docker.image import tar

INSPECTED = {'Architecture': 'arm64', 'Os': 'linux', 'Variant': 'v8',
             'Id': 'sha256:1', 'Config': {
                 'Cmd': ['sh'], 'Hostname': 'of the host', 'Image': 'x',
                 'Labels': {'a': 'b'}, 'Volumes': None}}
PLAIN = {'architecture': 'amd64', 'os': 'linux',
         'config': {'Cmd': ['sh'], 'Tty': True}}


class HollowTest(base.BaseTestCase):

    def test_document(self):
        self.assertEqual(
            {'architecture': 'arm64', 'os': 'linux', 'variant': 'v8',
             'config': {'Cmd': ['sh'], 'Labels': {'a': 'b'},
                        'Volumes': None}},
            json.loads(hollow.document(INSPECTED)))
        for config in (None, {}):
            self.assertEqual({}, json.loads(hollow.document(
                INSPECTED | {'Config': config}))['config'])

    def packed(self, **changes):
        return hollow.packed(json.dumps(PLAIN | changes).encode())

    def test_packed(self):
        rewriter = archive.Rewriter(io.BytesIO(self.packed()), 'r:1', 'amd64')
        b''.join(rewriter)
        self.assertEqual(1024, rewriter.facts.unpacked_size)
        members = dict(_members(self.packed()))
        self.assertEqual({'Cmd': ['sh']},
                         json.loads(members['config.json'])['config'])

    def test_the_same_for_the_same(self):
        turned = dict(reversed(PLAIN.items()))
        self.assertEqual(self.packed(),
                         hollow.packed(json.dumps(turned).encode()))
        self.assertNotEqual(self.packed(), self.packed(os='other'))

    def test_what_it_writes_it_reads(self):
        self.assertIn(b'"v8"', hollow.packed(hollow.document(INSPECTED)))

    def test_refused(self):
        for content in (b'', b'[]', b'{"a": 1, "a": 2}', b'[' * 100000):
            self.assertRaises(tar.Refused, hollow.packed, content)
        for changes in ({'architecture': None}, {'os': 1}, {'config': []},
                        {'variant': [1]}):
            self.assertRaises(tar.Refused, self.packed, **changes)


def _members(data):
    for entry, pieces in tar.members([data]):
        yield entry.name.decode(), b''.join(pieces)
