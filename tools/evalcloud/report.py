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

"""What stestr prints, read for a summary."""

import re

_COUNT = re.compile(r' - (Passed|Skipped|Failed): (\d+)$')
_FAILED = re.compile(r'\{\d+\} (.+) \[\S+\] \.\.\. FAILED$')
_EXCEPTION = re.compile(r' {4}([a-zA-Z_][\w.]*: .+)$')
#: What a mismatch of testtools says in lines of its own.
_SIDE = re.compile(r' {4}((?:reference|actual) += .+)$')


class Report:
    """What the lines that stestr prints say, for the summary."""

    def __init__(self) -> None:
        self.counts: dict[str, str] = {}
        #: Names of failed tests with the last exception of each.
        self.failed: dict[str, str] = {}
        self._failed = ''

    def line(self, text: str) -> None:
        """Take one line."""
        if found := _COUNT.match(text):
            self.counts[found.group(1).lower()] = found.group(2)
        elif found := _FAILED.match(text):
            self._failed = found.group(1)
            self.failed[self._failed] = ''
        elif text.startswith(('{', '=')):
            self._failed = ''
        elif self._failed and (found := _EXCEPTION.match(text)):
            self.failed[self._failed] = found.group(1)
        elif self._failed and (found := _SIDE.match(text)):
            self.failed[self._failed] += ' ' + found.group(1)

    def detail(self) -> str:
        """The numbers of tests."""
        return ', '.join(f'{n} {kind}' for kind, n in self.counts.items())
