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

from nova_docker.osc import properties

PREFIX = 'org.opencontainers.image.'


class PropertiesTest(base.BaseTestCase):

    def test_architecture_in_novas_naming(self):
        for docker, nova in (('amd64', 'x86_64'), ('arm64', 'aarch64'),
                             ('s390x', 's390x')):
            self.assertEqual({'hw_architecture': nova},
                             properties.of_image(docker, {}))
            for name in (docker, nova):
                self.assertEqual(docker, properties.docker_architecture(name))

    def test_architecture_of_no_one_host(self):
        # Nova would look for a host of exactly this one.
        self.assertEqual({}, properties.of_image('386', {}))
        self.assertEqual({}, properties.of_image('pdp11', {}))

    def test_unknown_architecture(self):
        self.assertRaises(ValueError, properties.docker_architecture, 'pdp11')

    def test_labels(self):
        found = properties.of_image('', {
            PREFIX + 'title': 'nginx', PREFIX + 'base.digest': 'sha256:1',
            PREFIX + 'ref.name': 'x', 'maintainer': 'x', 'docker_user': 'x',
            'hw_architecture': 'x'})
        self.assertEqual({PREFIX + 'title': 'nginx',
                          PREFIX + 'base.digest': 'sha256:1'}, found)

    def test_text_that_glance_takes(self):
        for given, kept in (('a\nb\0c', 'a b c'), ('\U0001f680 moon', 'moon'),
                            ('ü' * 300, 'ü' * 255)):
            self.assertEqual(
                {PREFIX + 'title': kept},
                properties.of_image('', {PREFIX + 'title': given}))
        self.assertEqual({}, properties.of_image('', {PREFIX + 'url': '\n'}))

    def test_min_disk(self):
        for size, gib in ((0, 0), (1, 1), (1 << 30, 1), ((1 << 30) + 1, 2)):
            self.assertEqual(gib, properties.min_disk(size))
