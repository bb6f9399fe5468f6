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

import json

from oslotest import base

from nova_docker.image import distribution
from nova_docker.image import tar
from tests.fixtures import archives

DIGEST = 'sha256:' + 'd' * 64


def entry(platform, number, **more):
    parts = zip(('os', 'architecture', 'variant'), platform.split('/'))
    return {'digest': f'sha256:{number:064x}', 'size': number,
            'platform': dict(parts)} | more


class ChooseTest(base.BaseTestCase):

    def choose(self, *entries, architecture='amd64', **more):
        data = archives.as_json({'schemaVersion': 2,
                                 'manifests': list(entries)} | more)
        return distribution.choose(data, architecture)

    def refused(self, text, *entries, **more):
        error = self.assertRaises(tar.Refused, self.choose, *entries, **more)
        self.assertIn(text, str(error))

    def test_no_index(self):
        self.assertIsNone(distribution.choose(b'{"layers": []}', 'amd64'))

    def test_platform_of_the_host(self):
        entries = [entry('linux/arm64/v8', 1), entry('linux/amd64', 2),
                   entry('windows/amd64', 3), entry('linux/amd64/v3', 4)]
        for architecture, size in (('amd64', 2), ('arm64', 1)):
            found = self.choose(*entries, architecture=architecture)
            self.assertEqual((f'sha256:{size:064x}', size),
                             (found.digest, found.size))

    def test_first_of_equals(self):
        self.assertEqual(1, self.choose(
            entry('linux/amd64', 1), entry('linux/amd64', 2)).size)

    def test_compatible_when_there_is_no_better(self):
        old = entry('linux/386', 1)
        self.assertEqual(1, self.choose(old).size)
        self.assertEqual(2, self.choose(old, entry('linux/amd64', 2)).size)

    def test_platform_that_is_not_said(self):
        unknown = {'digest': DIGEST, 'size': 7}
        self.assertEqual(7, self.choose(unknown).size)
        self.assertEqual(2, self.choose(
            unknown, entry('linux/amd64', 2)).size)

    def test_none_fits(self):
        self.refused('not for linux/amd64, but for linux/arm64/v8, '
                     'windows/amd64', entry('windows/amd64', 1),
                     entry('linux/arm64/v8', 2))
        self.refused('nothing')

    def test_attestations_are_no_images(self):
        self.refused('nothing', entry('linux/amd64', 1, annotations={
            'vnd.docker.reference.type': 'attestation-manifest'}))

    def test_refused(self):
        for wrong in (3, {}, entry('linux/amd64', 1) | {'size': -1},
                      entry('linux/amd64', 1) | {'size': True},
                      entry('linux/amd64', 1) | {'size': 1 << 63},
                      entry('linux/amd64', 1) | {'size': 1.5},
                      entry('linux/amd64', 1) | {'digest': 'sha256:../x'},
                      entry('linux/amd64', 1) | {'digest': 'sha512:' +
                                                 'd' * 128},
                      entry('linux/amd64', 1) | {'platform': 'linux'},
                      entry('linux/amd64', 1) | {
                          'platform': {'os': 'linux', 'architecture': 3}}):
            self.refused('', wrong)
        self.refused('a manifest too', entry('linux/amd64', 1), layers=[])
        for data in (b'', b'[]', b'{', b'\xff', b'[' * 100000,
                     b'{"manifests": 3}', b'{"manifests": [], "manifests": '
                     b'[]}'):
            self.assertRaises(tar.Refused, distribution.choose, data, 'amd64')


class ReadTest(base.BaseTestCase):

    def document(self, count=1, **more):
        return {'schemaVersion': 2, 'config': {'digest': DIGEST, 'size': 2},
                'layers': [{'digest': f'sha256:{number:064x}', 'size': number}
                           for number in range(count)]} | more

    def read(self, *args, **more):
        return distribution.read(json.dumps(
            self.document(*args, **more)).encode())

    def refused(self, text, *args, **more):
        error = self.assertRaises(tar.Refused, self.read, *args, **more)
        self.assertIn(text, str(error))

    def test_image(self):
        image = self.read(3)
        self.assertEqual(distribution.Descriptor(DIGEST, 2), image.config)
        self.assertEqual([0, 1, 2], [layer.size for layer in image.layers])

    def test_layer_that_is_there_twice(self):
        layer = {'digest': DIGEST, 'size': 3}
        self.assertEqual(1, len(self.read(layers=[layer, layer]).layers))

    def test_media_types(self):
        for kind in ('oci.image.config', 'docker.container.image'):
            config = {'digest': DIGEST, 'size': 2, 'mediaType':
                      f'application/vnd.{kind}.v1+json'}
            self.read(config=config)
        config['mediaType'] = 'application/vnd.cncf.helm.config.v1+json'
        self.refused('no container image but application/vnd.cncf.helm',
                     config=config)

    def test_schema_1(self):
        self.refused('schema 1', schemaVersion=1, fsLayers=[])
        self.refused('schema 1', schemaVersion=None)

    def test_too_many_layers(self):
        self.read(127)
        self.refused('128 layers', 128)

    def test_refused(self):
        for more in ({'config': None}, {'config': []}, {'layers': None},
                     {'layers': [3]}, {'config': {'digest': DIGEST}},
                     {'config': {'size': 3}},
                     {'layers': [{'digest': DIGEST, 'size': '3'}]}):
            self.refused('', **more)
