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

"""What nova-api loads to refuse wrong extra specs of flavors.

Where this package is installed on the API's host: the driver looks at them
again at spawn.
"""

from nova.api.validation.extra_specs import base
from nova import exception

from nova_docker.spec import extra_specs


class Validator(base.ExtraSpecValidator):
    """Refuses what the driver would."""

    def validate(self, name: str, value: str) -> None:
        """:raises nova.exception.ValidationError: says what is wrong"""
        try:
            extra_specs.parse_one(name, value)
        except ValueError as error:
            raise exception.ValidationError(
                f'Validation failed; {error}.') from None


def register() -> list[Validator]:
    """The entry point nova.api.extra_spec_validators."""
    return [Validator(
        name=name, description=spec.description, value={'type': str},
        parameters=[{'name': 'name', 'pattern': spec.names}]
        if spec.names else []) for name, spec in extra_specs.SPECS.items()]
