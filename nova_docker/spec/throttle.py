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

"""How fast an instance may read a disk and write to it. Pure.

Sources: Nova's flavor extra specs ``quota:disk_*``, for each local disk, and
Cinder's QoS specifications of the consumer front-end, for each volume. Both
have the names and units of libvirt, which they were made for.
"""

import collections.abc
import dataclasses
import typing

_EXTRA_SPEC = 'quota:disk_'
_NAMES = tuple(f'{what}_{unit}_sec' for what in ('read', 'write', 'total')
               for unit in ('bytes', 'iops'))
#: Of Cinder, and no kernel's: more for a while, and the size of a request.
_UNKNOWN = (*(f'{name}_max' for name in _NAMES), 'size_iops_sec')
#: The largest that the kernel takes. Of requests it cuts off what is more.
_MOST = {'bytes': 2**63 - 1, 'iops': 2**32 - 1}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one disk, a second; 0 is none.

    :ivar read_bytes: bytes, with write_bytes
    :ivar read_requests: requests, with write_requests
    """

    read_bytes: int = 0
    write_bytes: int = 0
    read_requests: int = 0
    write_requests: int = 0

    def __bool__(self) -> bool:
        return any(dataclasses.astuple(self))

    def __str__(self) -> str:
        return ','.join(map(str, dataclasses.astuple(self))) if self else ''

    @classmethod
    def parse(cls, text: str) -> 'Limits':
        """The inverse of str()."""
        return cls(*map(int, text.split(','))) if text else cls()


def of_flavor(extra_specs: collections.abc.Mapping[str, str]) -> Limits:
    """The limits of each local disk of a flavor's instances.

    :raises ValueError: they can't be applied
    """
    return _limits({name: extra_specs[f'{_EXTRA_SPEC}{name}']
                    for name in _NAMES
                    if f'{_EXTRA_SPEC}{name}' in extra_specs}, _EXTRA_SPEC)


def of_volume(connection: collections.abc.Mapping[str, typing.Any]
              ) -> Limits:
    """The limits of a volume.

    :param connection: Cinder's connection_info
    :raises ValueError: they can't be applied
    """
    specs = connection.get('data', {}).get('qos_specs') or {}
    for name in _UNKNOWN:
        if specs.get(name):
            raise ValueError(f'its QoS specification {name} is not supported')
    return _limits({name: specs[name] for name in _NAMES if name in specs},
                   '')


def _limits(specs: collections.abc.Mapping[str, typing.Any], prefix: str
            ) -> Limits:
    """The kernel has no limit of both directions: each has half of it."""
    found = {name: _integer(f'{prefix}{name}', value)
             for name, value in specs.items()}
    for unit in ('bytes', 'iops'):
        total = found.get(f'total_{unit}_sec')
        each = [f'{what}_{unit}_sec' for what in ('read', 'write')]
        if not total:
            continue
        if any(found.get(name) for name in each) or total == 1:
            raise ValueError(f'{prefix}total_{unit}_sec excludes '
                             f'{" and ".join(each)}, and is at least 2')
        found |= dict.fromkeys(each, total // 2)
    return Limits(*(found.get(f'{what}_{unit}_sec', 0)
                    for unit in ('bytes', 'iops')
                    for what in ('read', 'write')))


def _integer(name: str, value: typing.Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise ValueError(f'{name}={value!r} is not an integer') from None
    most = _MOST[name.split('_')[-2]]
    if not 0 <= number <= most:
        raise ValueError(f'{name}={number} is not within 0 and {most}')
    return number
