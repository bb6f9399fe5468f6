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

"""Which tests of Tempest do not run, and how many these are."""

import dataclasses
import pathlib
import re
import typing

from evalcloud import progress

#: In the checkout.
FILE = pathlib.Path('devstack', 'tempest', 'exclude.txt')
#: Part of Tempest of which the share counts.
COUNTED = 'tempest.api.compute'
#: Percent of that part that may be excluded.
LIMIT = 5


@dataclasses.dataclass(frozen=True)
class Share:
    """How many of COUNTED there are, and how many of them are excluded."""

    excluded: int
    total: int

    @property
    def percent(self) -> float:
        return 100 * self.excluded / max(self.total, 1)

    def __str__(self) -> str:
        return (f'{self.excluded} of the {self.total} tests of {COUNTED} '
                f'are excluded ({self.percent:.1f} %)')


def read(file: pathlib.Path) -> dict[str, str]:
    """The reason of each regular expression.

    :raises progress.Failure: a line that is not "REGEX  # REASON."
    """
    found: dict[str, str] = {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line or line.startswith('#'):
            continue
        pattern, _, reason = line.partition('  # ')
        if not re.match(r'tempest\\\.', pattern) or pattern in found \
                or not re.match(r'[A-Z].{20,}\.$', reason):
            raise progress.Failure(
                f'{file}:{number}: not a regular expression of names that '
                'begin with "tempest.", two spaces, "#" and the reason')
        found[pattern] = reason
    return found


def share(patterns: typing.Iterable[str], names: list[str]) -> Share:
    """What a list of exclusions comes to.

    :param names: of all tests that there are
    :raises progress.Failure: more than LIMIT, or an expression that no test
        matches
    """
    excluded: set[str] = set()
    for pattern in patterns:
        # As stestr looks for it.
        matching = {name for name in names if re.search(pattern, name)}
        if not matching:
            raise progress.Failure(f'{FILE}: no test matches {pattern}')
        excluded |= matching
    found = Share(_counted(excluded), _counted(names))
    if found.percent > LIMIT:
        raise progress.Failure(f'{found}, more than {LIMIT} %')
    return found


def _counted(names: typing.Iterable[str]) -> int:
    return sum(name.startswith(f'{COUNTED}.') for name in names)
