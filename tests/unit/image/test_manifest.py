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

from nova_docker.image import manifest
from nova_docker.image import tar
from nova_docker.spec import names
from tests.fixtures import archives

DIGEST = 'sha256:' + 'a' * 64
BLOB = 'blobs/sha256/' + 'a' * 64


def dump(document):
    return json.dumps(document).encode()


class SelectTestCase(base.BaseTestCase):

    def refused(self, members, text):
        error = self.assertRaises(tar.Refused, manifest.select, members,
                                  "amd64")
        self.assertIn(text, str(error))

    def test_docker(self):
        name, data = archives.manifest('c', ['l1', 'l2'])
        self.assertEqual(manifest.Selection('c', ['l1', 'l2']),
                         manifest.select({name: data}, "amd64"))

    def test_docker_without_layers(self):
        data = dump([{'Config': 'c', 'Layers': None}])
        self.assertEqual(manifest.Selection('c', []),
                         manifest.select({'manifest.json': data}, 'amd64'))

    def test_docker_wins_over_oci(self):
        name, data = archives.manifest('c', [])
        self.assertEqual(
            'c', manifest.select({'index.json': b'', name: data},
                                 'amd64').config)

    def test_neither(self):
        self.refused({'oci-layout': b'{}'}, 'neither')

    def test_docker_several_or_no_images(self):
        for images in ([], [{'Config': 'c', 'Layers': []}] * 2):
            self.refused({'manifest.json': dump(images)},
                         f'holds {len(images)} images')

    def test_docker_odd_forms(self):
        for document in ({}, None, 1, 'x', [None], [[]], [{}],
                         [{'Config': 1}], [{'Config': 'c', 'Layers': 'l'}],
                         [{'Config': 'c', 'Layers': [1]}]):
            self.refused({'manifest.json': dump(document)}, 'expected form')

    def test_not_json(self):
        for data in (b'', b'{', b'\xff', b'\xef\xbb\xbf[]', b'[NaN]',
                     b'[' * 200000, '[]'.encode('utf-16'),
                     b'[' + b'9' * 5000 + b']'):
            self.refused({'manifest.json': data}, 'JSON')

    def test_key_twice(self):
        self.refused(
            {'manifest.json': b'[{"Config": "a", "Config": "b"}]'}, 'twice')

    def test_oci(self):
        image = {'config': {'digest': DIGEST},
                 'layers': [{'digest': DIGEST}]}
        index = {'manifests': [{'digest': 'sha256:' + 'b' * 64}]}
        members = {'index.json': dump(index),
                   'blobs/sha256/' + 'b' * 64: dump(image)}
        self.assertEqual(manifest.Selection(BLOB, [BLOB]),
                         manifest.select(members, "amd64"))

    def test_oci_nested_with_attestation(self):
        inner = {'manifests': [
            {'digest': DIGEST},
            {'digest': 'sha256:' + 'c' * 64, 'annotations': {
                'vnd.docker.reference.type': 'attestation-manifest'}}]}
        members = {
            'index.json': dump(
                {'manifests': [{'digest': 'sha256:' + 'b' * 64}]}),
            'blobs/sha256/' + 'b' * 64: dump(inner),
            BLOB: dump({'config': {'digest': DIGEST}, 'layers': []})}
        self.assertEqual(BLOB, manifest.select(members, "amd64").config)

    def index(self, *platforms):
        """Members of an index of images, each with its platform's name."""
        members = {}
        manifests = []
        for platform in platforms:
            os, architecture, *variant = platform.split('/')
            config = archives.config([], os=os, architecture=architecture,
                                     variant=''.join(variant) or None,
                                     author=platform)
            image = dump({'config': {'digest': 'sha256:' + archives.digest(
                config)}, 'layers': []})
            members |= dict(map(archives.blob, (config, image)))
            manifests.append({'digest': 'sha256:' + archives.digest(image)})
        return members | {'index.json': dump({'manifests': manifests})}

    def selected(self, members, architecture):
        found = manifest.select(members, architecture)
        return json.loads(members[found.config])['author']

    def test_oci_platform_of_the_host(self):
        members = self.index('linux/386', 'windows/amd64', 'linux/amd64',
                             'linux/arm64/v8', 'linux/arm/v7', 'linux/arm/v6')
        for architecture, platform in (
                ('amd64', 'linux/amd64'), ('386', 'linux/386'),
                ('arm64', 'linux/arm64/v8'), ('arm', 'linux/arm/v6')):
            self.assertEqual(platform, self.selected(members, architecture))

    def test_oci_compatible_platform(self):
        self.assertEqual('linux/386', self.selected(
            self.index('linux/arm64', 'linux/386'), 'amd64'))

    def test_oci_variant_that_any_processor_has(self):
        self.assertEqual('linux/amd64', self.selected(self.index(
            'linux/amd64/v3', 'linux/amd64', 'linux/amd64/v2'), 'amd64'))
        self.assertEqual('linux/amd64/v2', self.selected(self.index(
            'linux/amd64/v3', 'linux/amd64/v2'), 'amd64'))

    def test_oci_no_platform_fits(self):
        self.refused(
            self.index('windows/amd64', 'linux/s390x', 'linux/arm/v7'),
            'no image for linux/amd64, but for linux/arm/v7, linux/s390x, '
            'windows/amd64')

    def test_oci_claimed_platform_does_not_count(self):
        members = self.index('linux/arm64', 'linux/s390x')
        index = json.loads(members['index.json'])
        for image in index['manifests']:
            image['platform'] = {'os': 'linux', 'architecture': 'amd64'}
        self.refused(members | {'index.json': dump(index)}, 'but for')

    def test_oci_several_images(self):
        members = self.index('linux/amd64')
        images = json.loads(members['index.json'])['manifests'][:1]
        config = archives.config([], author='other')
        image = dump({'config': {'digest': 'sha256:' + archives.digest(
            config)}, 'layers': []})
        images.append({'digest': 'sha256:' + archives.digest(image)})
        self.refused(
            members | dict(map(archives.blob, (config, image)))
            | {'index.json': dump({'manifests': images})}, 'holds 2 images')

    def test_oci_one_image_of_two_names(self):
        members = self.index('linux/amd64', 'linux/arm64')
        index = json.loads(members['index.json'])
        index['manifests'] = [index['manifests'][0]] * 2
        self.assertEqual('linux/amd64', self.selected(
            members | {'index.json': dump(index)}, 'amd64'))

    def test_oci_something_beside_the_image(self):
        # As a signature is, or the chart of an application.
        members = self.index('linux/amd64')
        index = json.loads(members['index.json'])
        image = dump({'config': {'digest': DIGEST}, 'layers': []})
        index['manifests'].append(
            {'digest': 'sha256:' + archives.digest(image)})
        members |= dict([archives.blob(image)]) | {'index.json': dump(index)}
        for config in ({}, {BLOB: b'{}'}):
            self.assertEqual('linux/amd64',
                             self.selected(members | config, 'amd64'))

    def test_oci_images_that_are_absent(self):
        members = self.index('linux/arm64', 'linux/amd64')
        index = json.loads(members['index.json'])
        del members['blobs/sha256/' + index['manifests'][0]['digest'][7:]]
        self.assertEqual('linux/amd64', self.selected(members, 'amd64'))
        self.refused({'index.json': members['index.json']}, 'lacks')

    def test_oci_nesting(self):
        members = self.index('linux/amd64')
        for depth in range(4):
            inner = archives.blob(members['index.json'])
            if depth < 3:
                self.assertEqual('linux/amd64',
                                 self.selected(members, 'amd64'))
            members |= dict([inner]) | {'index.json': dump({'manifests': [
                {'digest': 'sha256:' + archives.digest(inner[1])}]})}
        self.refused(members, 'deeply')

    def test_oci_circles_take_no_time(self):
        # Each of some indexes names all of them, many times.
        names = ['sha256:' + letter * 64 for letter in 'abcd']
        index = dump({'manifests': [{'digest': x} for x in names * 1000]})
        self.refused({'index.json': index} | {
            'blobs/sha256/' + x[7:]: index for x in names}, 'deeply')
        self.refused({'index.json': dump({'manifests': []})}, 'lacks')

    def test_oci_odd_digests(self):
        for digest in ('sha512:' + 'a' * 128, 'sha256:../../x', '',
                       'sha256:' + 'A' * 64, DIGEST + '\n'):
            self.refused({'index.json': dump({'manifests': [
                {'digest': digest}]})}, 'odd digest')


class ReadConfigTestCase(base.BaseTestCase):

    def refused(self, data, text):
        error = self.assertRaises(tar.Refused, manifest.read_config, data)
        self.assertIn(text, str(error))

    def test_read(self):
        config = manifest.read_config(archives.config([b'1', b'2']))
        self.assertEqual('linux/amd64', config.platform)
        self.assertEqual(['sha256:' + archives.digest(b'1'),
                          'sha256:' + archives.digest(b'2')],
                         config.diff_ids)

    def test_no_layers(self):
        data = archives.config([], rootfs={'diff_ids': None})
        self.assertEqual([], manifest.read_config(data).diff_ids)

    def test_labels(self):
        def labels(section):
            data = archives.config([], config=section)
            return manifest.read_config(data).labels
        self.assertEqual({'a': 'b'}, labels({'Labels': {'a': 'b', 'c': 1}}))
        for section in (None, [], {}, {'Labels': None}, {'Labels': ['a=b']}):
            self.assertEqual({}, labels(section))

    def test_second_spellings(self):
        # Go's decoder takes each of these for the plain key.
        for key in ('RootFS', 'ROOTFS', 'rootf\u017f', 'OS', 'Architecture'):
            self.refused(archives.config([], **{key: {}}), 'odd key')
        for key in ('DIFF_IDS', 'diff_id\u017f'):
            self.refused(archives.config(
                [], rootfs={'diff_ids': [], key: [DIGEST]}), 'odd key')

    def test_key_twice(self):
        data = archives.config([])[:-1] + b', "rootfs": {}}'
        self.refused(data, 'twice')

    def test_odd_forms(self):
        for changes in ({'os': None}, {'architecture': 1}, {'rootfs': []},
                        {'rootfs': {'diff_ids': {'a': 1}}},
                        {'rootfs': {'diff_ids': [1]}}):
            self.refused(archives.config([], **changes), 'expected form')
        self.refused(b'[]', 'expected form')
        self.refused(archives.config([], rootfs={'diff_ids': ['x']}),
                     'odd diff_id')


class WithoutVolumesTestCase(base.BaseTestCase):

    def test_volumes_go(self):
        data = manifest.without_volumes(archives.as_json({
            'os': 'linux', 'config': {
                'Labels': {'a': 'b'}, 'Volumes': {'/a': {}, '/c/': {}},
                'volumes': {'/b': {}}}}))
        changed = json.loads(data)
        self.assertEqual(['Labels'], list(changed['config']))
        self.assertEqual('b', changed['config']['Labels']['a'])
        self.assertEqual(['/a', '/c', '/b'], names.image_volumes(
            changed['config']['Labels']))

    def test_nothing_else_changes(self):
        for config in (None, {}, {'Volumes': None}, {'Volumes': {}}, []):
            data = archives.as_json({'config': config, 'os': 'linux'})
            self.assertIs(data, manifest.without_volumes(data))

    def test_another_spelling_of_the_section_is_refused(self):
        layer = archives.layer(('a', b''))
        self.assertRaises(tar.Refused, manifest.read_config, archives.config(
            [layer], Config={'Volumes': {'/a': {}}}))
