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

"""Run a benchmark by its name: ``python -m tests.benchmarks archive``.

``--json FILE`` before the name writes down what it has found, and the name
``plot`` makes pictures and a table of such files.
"""

import importlib
import pathlib
import sys

from tests.benchmarks import results

_JSON = '--json'


def main() -> None:
    """Run what the arguments say."""
    _, *arguments = sys.argv
    file = None
    if arguments[:1] == [_JSON]:
        _, file, *arguments = arguments
    if not arguments:
        sys.exit(__doc__)
    name = arguments.pop(0)
    sys.argv[1:] = arguments
    importlib.import_module(f'tests.benchmarks.{name}').main()
    if file:
        results.write(pathlib.Path(file), name)


main()
