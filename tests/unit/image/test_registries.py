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

import fixtures
from oslotest import base

from nova_docker.image import registries
from nova_docker.image import tar
from nova_docker.spec import reference

IMAGE = reference.parse('registry.example.org:5000/team/app:1')
#: All that has a meaning in some INI file.
PASSWORD = 'p%4=w;o#rd'


class FindTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        folder = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(folder, 'registries.ini')

    def write(self, text, mode=0o640):
        with open(self.path, 'w') as file:
            file.write(text)
        os.chmod(self.path, mode)

    def find(self, image=IMAGE, allowed=('registry.example.org:5000',),
             **options):
        return registries.find(registries.Options(
            allowed=allowed, **{'file': self.path} | options), image)

    def wrong(self, text, *words, **kwargs):
        self.write(text, **kwargs)
        error = str(self.assertRaises(registries.Misconfigured, self.find))
        for word in (self.path, *words):
            self.assertIn(word, error)
        self.assertNotIn(PASSWORD, error)

    # Which registries are allowed

    def test_off_by_default(self):
        error = self.assertRaises(
            tar.Refused, registries.find, registries.Options(), IMAGE)
        self.assertIn('no images from registries', str(error))

    def test_allowed(self):
        for allowed in ('registry.example.org:5000',
                        'registry.example.org:5000/team',
                        'registry.example.org:5000/team/app'):
            found = self.find(allowed=('other.example', allowed), file=None)
            self.assertEqual('https://registry.example.org:5000', found.url)

    def test_not_allowed(self):
        for allowed in ('registry.example.org', 'registry.example.org:500',
                        'other.example', 'registry.example.org:5000/tea',
                        'registry.example.org:5000/team/app2', 'team/app'):
            error = self.assertRaises(
                tar.Refused, self.find, allowed=(allowed,), file=None)
            self.assertIn(IMAGE.name, str(error))

    def test_signatures_are_required(self):
        error = self.assertRaises(tar.Refused, self.find, signed_only=True)
        self.assertIn('signature', str(error))

    # How they are reached

    def test_no_file(self):
        found = self.find(file=None)
        self.assertEqual({('registry.example.org', 5000)}, found.hosts)
        self.assertEqual((None, None, None), (
            found.username, found.password, found.token))
        self.assertTrue(os.path.exists(found.ca_file))

    def test_no_section(self):
        self.write('[other.example]\nusername = a\npassword = b\n')
        self.assertEqual(self.find(file=None), self.find())

    def test_docker_hub(self):
        found = self.find(reference.parse('docker.io/nginx'),
                          allowed=('docker.io/library',), file=None)
        self.assertEqual('https://registry-1.docker.io', found.url)
        self.assertEqual({('registry-1.docker.io', 443)}, found.hosts)

    def test_section(self):
        self.write(f'''
# A comment.
[registry.example.org:5000]
username = nova
password = {PASSWORD}
ca_file = /etc/ca.pem
hosts = cdn.example.org, auth.example.org:8443
    more.example.org
''')
        found = self.find()
        self.assertEqual(('nova', PASSWORD, None, '/etc/ca.pem'), (
            found.username, found.password, found.token, found.ca_file))
        self.assertEqual({
            ('registry.example.org', 5000), ('cdn.example.org', 443),
            ('auth.example.org', 8443), ('more.example.org', 443)},
            found.hosts)
        self.assertNotIn(PASSWORD, repr(found))

    def test_token(self):
        self.write('[registry.example.org:5000]\ntoken = abc.d-_~+/e==\n')
        self.assertEqual('abc.d-_~+/e==', self.find().token)
        self.assertNotIn('abc', repr(self.find()))

    def test_read_at_each_use(self):
        section = '[registry.example.org:5000]\ntoken = '
        for token in ('old', 'new'):
            self.write(section + token)
            self.assertEqual(token, self.find().token)

    # What may be wrong with the file

    def test_cannot_be_read(self):
        error = self.assertRaises(registries.Misconfigured, self.find)
        self.assertIn('No such file', str(error))
        with open(self.path, 'wb') as file:
            file.write(b'\xff')
        self.assertRaises(registries.Misconfigured, self.find)

    def test_malformed(self):
        for text, line in ((f'password = {PASSWORD}\n', 1),
                           ('[a]\nno equals sign', 2),
                           (f'[a]\ntoken={PASSWORD}\ntoken=x', 3),
                           ('[a]\n[a]\n', 2)):
            self.wrong(text, 'malformed', f'line {line}')

    def test_secrets_that_others_may_read(self):
        for mode in (0o644, 0o642, 0o604):
            for key in ('username = a\npassword', 'token'):
                self.wrong(f'[a]\n{key} = {PASSWORD}\n', 'chmod', mode=mode)
        self.write('[registry.example.org:5000]\nca_file = /ca\n', 0o644)
        self.assertEqual('/ca', self.find().ca_file)

    def test_unknown_key(self):
        self.wrong(f'[a]\npasword = {PASSWORD}\n', '[a]', 'pasword')

    def test_half_of_the_credentials(self):
        self.wrong('[a]\nusername = nova\n', '[a]', 'password')
        self.wrong(f'[a]\npassword = {PASSWORD}\n', '[a]', 'username')

    def test_odd_token(self):
        self.wrong('[a]\ntoken = two words\n', '[a]', 'token')

    def test_hosts(self):
        self.wrong('[registry.example.org:5000]\nhosts = https://cdn/x\n',
                   'hosts', 'https://cdn/x')
