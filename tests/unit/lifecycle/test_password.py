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

"""set_admin_password: what is asked of a container that runs."""

from unittest import mock

from nova import crypto
from nova import exception
from nova import objects
from oslo_utils import secretutils

from tests.unit.lifecycle import base


class PasswordTest(base.LifecycleTestCase):

    def set_password(self, value='secret'):
        self.driver.set_admin_password(self.instance, value)

    def assert_refused(self, *words, value='secret'):
        before = self.compute.shadow
        error = self.assertRaises(
            exception.SetAdminPasswdNotSupported, self.set_password, value)
        for word in words:
            self.assertIn(word, error.format_message())
        self.assertEqual(before, self.compute.shadow)

    def test_root(self):
        self.spawned()
        self.set_password()
        found = self.compute.shadow.split(b':')[1].decode()
        self.assertEqual(
            found, secretutils.crypt_password('secret', found))

    def test_other_administrator(self):
        self.spawned()
        self.instance.system_metadata['image_os_admin_user'] = 'debian'
        self.assert_refused('debian')
        self.compute.shadow += b'debian:!:19000:0:99999:7:::\n'
        self.set_password()
        self.assertIn(b'debian:$6$', self.compute.shadow)
        self.assertIn(b'root:*:', self.compute.shadow)

    def test_bad_password(self):
        self.spawned()
        self.assert_refused('NUL', value='a\0b')

    def test_no_place(self):
        self.spawned()
        for error, word in (
                (FileNotFoundError(2, 'x'), 'no /etc/shadow'),
                (ValueError('shadow is not a regular file'), 'regular')):
            self.compute.read.side_effect = error
            self.assert_refused(word)

    def test_changed_meanwhile(self):
        self.spawned()
        self.compute.replace.side_effect = [False]
        self.assert_refused('meanwhile')

    def test_not_written(self):
        self.spawned()
        for error in (ProcessLookupError(3, 'gone'), OSError(28, 'full')):
            self.compute.replace.side_effect = error
            raised = self.assertRaises(
                exception.InstancePasswordSetFailed, self.set_password)
            self.assertIn(error.strerror, raised.format_message())

    def test_not_running(self):
        self.assertRaises(exception.InstanceNotFound, self.set_password)
        self.spawn()
        self.driver.pause(self.instance)
        self.assertRaises(exception.InstanceNotRunning, self.set_password)
        self.power_off()
        self.assertRaises(exception.InstanceNotRunning, self.set_password)

    def test_kept_for_the_owner_of_the_key(self):
        self.spawned()
        self.instance.key_data = 'ssh-rsa AAAA'
        with (mock.patch.object(crypto, 'ssh_encrypt_text',
                                autospec=True, return_value=b'x'),
              mock.patch.object(objects.Instance, 'save', autospec=True)):
            self.set_password()
        self.assertEqual('eA==', self.instance.system_metadata['password_0'])
