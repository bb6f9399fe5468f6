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
from nova_docker.spec import extra_specs as parser
from tests.unit.spec import test_extra_specs


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
                *((name, value)
                  for name, value, _wanted in test_extra_specs.VALUES),
                *((name, value)
                  for name, values in test_extra_specs.BAD.items()
                  for value in values),
                ('pids_limit', '15'), ('pids_limit', '4194305'),
                ('typo', 'true'), ('ulimit_nproc', '1'), ('ulimit_', '1'),
                ('sysctl_vm.swappiness', '1'), ('sysctl_net.', '1'),
                ('volume_mount_path', '/a\n')):
            name = f'docker:{name}'
            self.assertEqual(self._driver(name, value),
                             self._api(name, value), f'{name}={value}')

    def test_each_is_described(self) -> None:
        for validator in extra_specs.register():
            self.assertTrue(validator.description)

    def _driver(self, name: str, value: str) -> bool:
        try:
            parser.parse({name: value})
        except ValueError:
            return False
        return True

    def _api(self, name: str, value: str) -> bool:
        try:
            validators.validate(name, value)
        except exception.ValidationError:
            return False
        return True
