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

import concurrent.futures
from unittest import mock

from nova import crypto
from nova import objects
from nova import test
from oslo_utils import secretutils

from nova_docker.metadata import password


class PasswordTest(test.NoDBTestCase):

    def test_hashed(self):
        found = password.hashed('secret \u00e9')
        self.assertEqual(found, secretutils.crypt_password(
            'secret \u00e9', found))
        self.assertNotEqual(found, password.hashed('secret \u00e9'))

    def test_hashed_by_many_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(password.hashed, map(str, range(100))))
        for secret, one in enumerate(found):
            self.assertEqual(one, secretutils.crypt_password(
                str(secret), one))

    def test_no_password_for_a_program(self):
        for value in ('a\0b', 'x' * 1000):
            self.assertRaises(ValueError, password.hashed, value)

    def test_user(self):
        def user(**properties):
            return password.user(objects.ImageMeta(
                properties=objects.ImageMetaProps(**properties)))
        self.assertEqual('root', user())
        self.assertEqual('debian', user(os_admin_user='debian'))

    def keep(self, key):
        instance = objects.Instance(key_data=key, system_metadata={})
        with (mock.patch.object(crypto, 'ssh_encrypt_text', autospec=True,
                                return_value=b'secret'),
              mock.patch.object(objects.Instance, 'save',
                                autospec=True) as save):
            password.keep(instance, 'x')
        self.assertEqual(bool(instance.system_metadata), save.called)
        return instance.system_metadata.get('password_0')

    def test_kept_for_the_owner_of_an_rsa_key(self):
        self.assertEqual('c2VjcmV0', self.keep('ssh-rsa AAAA me'))
        self.assertIsNone(self.keep('ssh-ed25519 AAAA me'))
        self.assertIsNone(self.keep(None))
