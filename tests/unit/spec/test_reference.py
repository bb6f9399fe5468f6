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

from nova_docker.spec import reference

DIGEST = 'sha256:' + '0123456789abcdef' * 4


class ParseTest(base.BaseTestCase):

    def parts(self, text):
        found = reference.parse(text)
        return found.registry, found.repository, found.tag, found.digest

    def test_tag_digest_or_both(self):
        for end, tag, digest in (
                (':1.2', '1.2', None), (f'@{DIGEST}', None, DIGEST),
                (f':1.2@{DIGEST}', '1.2', DIGEST), ('', 'latest', None)):
            self.assertEqual(
                ('registry.example.org', 'team/app', tag, digest),
                self.parts(f'registry.example.org/team/app{end}'))

    def test_registries(self):
        for host in ('localhost', 'localhost:5000', 'registry:5000',
                     '192.0.2.1', '192.0.2.1:5000', '[2001:db8::1]',
                     '[2001:db8::1]:5000', 'xn--bcher-kva.example'):
            self.assertEqual((host, 'a', 'b', None),
                             self.parts(f'{host}/a:b'))

    def test_repositories(self):
        for path in ('a', 'a/b/c', 'a-b', 'a--b', 'a__b', 'a.b', 'a_b/0'):
            self.assertEqual(path, self.parts(f'r.example/{path}:1')[1])

    def test_docker_hub(self):
        for text in ('docker.io/nginx:1', 'docker.io/library/nginx:1'):
            self.assertEqual(('docker.io', 'library/nginx', '1', None),
                             self.parts(text))
        self.assertEqual('team/app', self.parts('docker.io/team/app')[1])

    def test_text(self):
        for text in ('r.example/a:1', f'r.example/a@{DIGEST}',
                     f'r.example:5000/a/b:1@{DIGEST}'):
            self.assertEqual(text, str(reference.parse(text)))
        self.assertEqual('r.example/a:latest',
                         str(reference.parse('r.example/a')))

    def test_refused(self):
        for text, why in (
                ('nginx', 'must begin with a registry'),
                ('nginx:1', 'docker.io/library/nginx'),
                ('library/nginx:1', 'must begin with a registry'),
                ('', 'must begin with a registry'),
                ('/a', 'must begin with a registry'),
                ('https://r.example/a', 'must begin with a registry'),
                ('user:pw@r.example/a', 'a digest is'),
                ('R.example/a', 'in lower case'),
                ('r.example/A', 'in lower case'),
                ('r..example/a', 'must begin with a registry'),
                ('-r.example/a', 'must begin with a registry'),
                ('r.example:0/a', 'must begin with a registry'),
                ('r.example:99999/a', 'must begin with a registry'),
                ('r.example/', 'path'), ('r.example/a/', 'path'),
                ('r.example//a', 'path'), ('r.example/../a', 'path'),
                ('r.example/a b', 'path'), ('r.example/a?x=y', 'path'),
                ('r.example/a%2fb', 'path'), ('r.example/ä', 'path'),
                ('r.example/a:', 'tag'), ('r.example/a:.b', 'tag'),
                ('r.example/a:b/c', 'tag'), ('r.example/a:b\n', 'tag'),
                ('r.example/a:' + 'b' * 129, 'tag'),
                ('r.example/a@sha256:abc', 'a digest is'),
                ('r.example/a@sha512:' + '0' * 128, 'a digest is'),
                (f'r.example/a@{DIGEST.upper()}', 'a digest is'),
                (f'r.example/a@{DIGEST}@{DIGEST}', 'a digest is'),
                ('r.example/' + 'a' * 250, 'longer than 255')):
            error = self.assertRaises(ValueError, reference.parse, text)
            self.assertIn(why, str(error), text)
            self.assertIn('docker_image_ref', str(error))

    def test_refusal_is_short(self):
        error = self.assertRaises(ValueError, reference.parse, 'a' * 10000)
        self.assertLess(len(str(error)), 300)


class HostTest(base.BaseTestCase):

    def test_host(self):
        for text, name, port in (
                ('a.example', 'a.example', 443), ('a', 'a', 443),
                ('a.example:5000', 'a.example', 5000),
                ('[2001:db8::1]', '2001:db8::1', 443),
                ('[2001:db8::1]:5000', '2001:db8::1', 5000)):
            self.assertEqual((name, port), reference.host(text))

    def test_refused(self):
        for text in ('', 'https://a', 'a/b', 'A', 'a:b', 'a:65536', '*.a',
                     'user@a', 'a b'):
            self.assertRaises(ValueError, reference.host, text)
