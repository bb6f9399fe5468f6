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

from nova_docker.spec import accounts

PASSWD = (b'root:x:0:0:root:/root:/bin/sh\n'
          b'# www\nwww:x:33:34::/srv/www:/bin/false\n')
SHADOW = (b'root:*:19000:0:99999:7:::\nwww:!:19000:0:99999:7:30:20000:\n'
          b'odd\nshort:x\nold:x:1')


class FindTest(base.BaseTestCase):

    def test_found(self):
        self.assertEqual(accounts.Account(0, 0, '/root'),
                         accounts.find(PASSWD, 'root'))
        self.assertEqual(accounts.Account(33, 34, '/srv/www'),
                         accounts.find(PASSWD, 'www'))

    def test_not_found(self):
        for name in ('', 'ww', 'www2', 'x'):
            self.assertIsNone(accounts.find(PASSWD, name), name)

    def test_unsound(self):
        for line in (b'a:x:0:0:/root', b'a:x:-1:0::/:', b'a:x:y:0::/:',
                     b'a:x:0:4294967295::/:', b'a:x::0::/:', b'a'):
            self.assertIsNone(accounts.find(line, 'a'), line)

    def test_home_that_is_no_text(self):
        self.assertEqual('/\ufffd', accounts.find(
            b'a:x:0:0::/\xff:', 'a').home)


class PasswordTest(base.BaseTestCase):

    def test_only_that_entry(self):
        self.assertEqual(
            SHADOW.replace(b'root:*:19000', b'root:$6$x:20000'),
            accounts.with_password(SHADOW, 'root', '$6$x', 20000))
        self.assertEqual(
            SHADOW.replace(b'www:!:19000', b'www:$6$x:20000'),
            accounts.with_password(SHADOW, 'www', '$6$x', 20000))

    def test_short_entry(self):
        self.assertEqual(SHADOW.replace(b'old:x:1', b'old:h:2'),
                         accounts.with_password(SHADOW, 'old', 'h', 2))

    def test_no_entry(self):
        for name in ('none', 'odd', 'short', ''):
            self.assertIsNone(
                accounts.with_password(SHADOW, name, 'h', 1), name)


class KeyTest(base.BaseTestCase):

    def test_added_once(self):
        for before, after in ((b'', b'k 1\n'), (b'a', b'a\nk 1\n'),
                              (b'a\n', b'a\nk 1\n'),
                              (b'a\nk 1\nb', b'a\nk 1\nb')):
            self.assertEqual(after, accounts.with_key(before, 'k 1\n'))
