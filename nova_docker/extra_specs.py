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
spawn, as it may not be. No extra spec gives a container privileges.
"""

import collections.abc
import dataclasses
import typing

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


SPECS: dict[str, Integer] = {
    # The kernel has no more process ids than that (kernel.pid_max).
    'docker:pids_limit': Integer(
        'Largest number of processes and threads in the instance. Without '
        'it, the option [docker]pids_limit of the compute host counts.',
        low=16, high=4194304),
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
            value={'type': int, 'min': spec.low, 'max': spec.high})
        for name, spec in SPECS.items()]
