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

"""The flavor extra specs of this driver, ``docker:*``.

nova-api loads :func:`register` and refuses what it does not list, where this
package is installed on the API's host; the driver calls :func:`validate` at
spawn, as it may not be. No extra spec gives a container privileges by itself.
"""

import collections.abc
import dataclasses
import re
import typing

from oslo_utils import strutils

NAMESPACE = 'docker:'


@dataclasses.dataclass(frozen=True)
class Integer:
    """An extra spec whose value is a whole number.

    :ivar description: what it does, and its unit
    :ivar low: smallest value that is accepted
    :ivar high: largest value that is accepted
    """
    description: str
    low: int
    high: int

    @property
    def schema(self) -> dict[str, typing.Any]:
        """What nova-api accepts."""
        return {'type': int, 'min': self.low, 'max': self.high}

    def check(self, name: str, value: str) -> None:
        """Raise ValueError unless value is one that the driver applies."""
        try:
            number = int(value)
        except ValueError:
            raise ValueError(
                f'{name}: {value!r} is not an integer') from None
        if not self.low <= number <= self.high:
            raise ValueError(
                f'{name}: {value} is not within {self.low} and {self.high}')


@dataclasses.dataclass(frozen=True)
class Boolean:
    """An extra spec that is true or false.

    :ivar description: what it does
    """
    description: str

    @property
    def schema(self) -> dict[str, typing.Any]:
        """What nova-api accepts."""
        return {'type': bool}

    def check(self, name: str, value: str) -> None:
        """Raise ValueError unless value is one that the driver applies."""
        try:
            strutils.bool_from_string(value, strict=True)
        except ValueError:
            raise ValueError(f'{name}: {value!r} is not a boolean') from None


@dataclasses.dataclass(frozen=True)
class Text:
    """An extra spec that is a text.

    :ivar description: what it does
    :ivar pattern: regular expression that all of it matches
    """
    description: str
    pattern: str

    @property
    def schema(self) -> dict[str, typing.Any]:
        """What nova-api accepts."""
        return {'type': str, 'pattern': f'^{self.pattern}$'}

    def check(self, name: str, value: str) -> None:
        """Raise ValueError unless value is one that the driver applies."""
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f'{name}: {value[:100]!r} does not match '
                             f'{self.pattern}')


SPECS: dict[str, Integer | Boolean | Text] = {
    # The kernel has no more process ids than that (kernel.pid_max).
    'docker:pids_limit': Integer(
        'Largest number of processes and threads in the instance. Without '
        'it, the option [docker]pids_limit of the compute host counts.',
        low=16, high=4194304),
    'docker:net_admin': Boolean(
        'Whether images of the property docker_dhcp=true can be used, with '
        'which an instance has the capability NET_ADMIN in its own network '
        'namespace. Without it, they are refused.'),
    'docker:volume_mount_path': Text(
        'Where an instance has the file systems of its volumes mounted, whose '
        'device names are put for {device}. Without it, it has the volumes as '
        'block devices.',
        pattern=r'(/[\w.@+{}-]+)+'),
}


def validate(extra_specs: collections.abc.Mapping[str, str]) -> None:
    """Check the docker:* extra specs of a flavor; others are not ours.

    :raises ValueError: one is unknown or has a value that can't be applied
    """
    for name, value in sorted(extra_specs.items()):
        if not name.startswith(NAMESPACE):
            continue
        if name not in SPECS:
            raise ValueError(f'the flavor extra spec {name} is unknown')
        SPECS[name].check(name, value)


def register() -> list[typing.Any]:
    """The validators for nova-api (nova.api.extra_spec_validators).

    :returns: list of nova.api.validation.extra_specs.base.ExtraSpecValidator
    """
    # Not at the top: compute hosts use validate() and not Nova's API.
    from nova.api.validation.extra_specs import base
    return [
        base.ExtraSpecValidator(
            name=name, description=spec.description,
            value=spec.schema)
        for name, spec in SPECS.items()]
