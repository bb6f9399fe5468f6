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

import fixtures
from nova.api.validation.extra_specs import validators
from nova import exception
from oslotest import base

from nova_docker import extra_specs


class ValidateTest(base.BaseTestCase):

    def test_other_namespaces_are_not_ours(self) -> None:
        extra_specs.validate({'hw:cpu_policy': 'x', 'dockers:a': 'b',
                              'pids_limit': 'z'})

    def test_accepts_from_lowest_to_highest(self) -> None:
        for value in ('16', '4194304'):
            extra_specs.validate({'docker:pids_limit': value})

    def test_refuses_bad_values(self) -> None:
        for value in ('15', '-1', '4194305', 'many', '', '1.5'):
            error = self.assertRaises(
                ValueError, extra_specs.validate,
                {'docker:pids_limit': value})
            self.assertIn('docker:pids_limit', str(error))

    def test_booleans(self) -> None:
        for value in ('true', 'False', 'no', '1'):
            extra_specs.validate({'docker:net_admin': value})
        for value in ('', 'maybe', '2'):
            error = self.assertRaises(
                ValueError, extra_specs.validate,
                {'docker:net_admin': value})
            self.assertIn('docker:net_admin', str(error))

    def test_refuses_unknown_names(self) -> None:
        for name in ('docker:privileged', 'docker:', 'docker:pids-limit'):
            error = self.assertRaises(
                ValueError, extra_specs.validate, {name: 'true'})
            self.assertIn(name, str(error))


class RegisterTest(base.BaseTestCase):
    """What nova-api accepts is what the driver accepts."""

    def setUp(self) -> None:
        super().setUp()
        registered = {v.name: v for v in extra_specs.register()}
        self.useFixture(fixtures.MockPatchObject(
            validators, 'VALIDATORS', registered))
        self.useFixture(fixtures.MockPatchObject(
            validators, 'NAMESPACES', {'docker'}))

    def test_both_agree(self) -> None:
        for name, value in (
                ('docker:pids_limit', '16'), ('docker:pids_limit', '15'),
                ('docker:pids_limit', '4194304'),
                ('docker:pids_limit', '4194305'),
                ('docker:pids_limit', 'x'), ('docker:privileged', 'true'),
                ('docker:net_admin', 'True'), ('docker:net_admin', 'x'),
                ('docker:volume_mount_path', '/mnt/{device}'),
                ('docker:volume_mount_path', '/a\n'),
                ('docker:volume_mount_path', 'a'),
                ('docker:volume_mount_path', '/')):
            self.assertEqual(self._driver(name, value),
                             self._api(name, value), f'{name}={value}')

    def test_each_is_described(self) -> None:
        for validator in extra_specs.register():
            self.assertTrue(validator.description)

    def _driver(self, name: str, value: str) -> bool:
        try:
            extra_specs.validate({name: value})
        except ValueError:
            return False
        return True

    def _api(self, name: str, value: str) -> bool:
        try:
            validators.validate(name, value)
        except exception.ValidationError:
            return False
        return True
