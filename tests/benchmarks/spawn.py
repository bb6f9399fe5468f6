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


"""DockerDriver.spawn against bare create and start on the same engine."""

import statistics

from tests.benchmarks import bed
from tests.benchmarks import results

_PAIRS = 20


def main() -> None:
    """Print where the time goes, and the ratio to a bare bridge container."""
    options = bed.arguments(__doc__, _PAIRS)
    times: dict[str, list[float]] = {'spawn': [], 'bridge': [], 'none': []}
    parts: dict[str, list[float]] = {
        'create': [], 'start': [], 'gate': [], 'ports': []}
    with bed.Bed(options) as both:
        # One more than asked for: the first of all is slow.
        for _ in range(options.pairs + 1):
            instance = both.instance()
            both.spent.clear()
            times['spawn'].append(bed.seconds(both.spawn, instance))
            for part, spent in parts.items():
                spent.append(both.spent[part])
            both.destroy(instance)
            for network in ('bridge', 'none'):
                name = bed.name()
                times[network].append(bed.seconds(both.run, name, network))
                both.remove(name)
    _, *spawn = times['spawn']
    spent = {part: 1e3 * statistics.median(each[1:])
             for part, each in parts.items()}
    rest = 1e3 * statistics.median(spawn) - sum(
        spent[part] for part in ('create', 'start', 'ports'))
    results.parts('spawn', {
        part: each / 1e3 for part, each in (spent | {'rest': rest}).items()})
    print('spawn: {create:.0f} ms create, {start:.0f} ms start (of it '
          '{gate:.0f} ms to move the ports inside), {ports:.0f} ms to plug '
          'them; '.format(**spent) + f'{rest:.0f} ms for all else')
    print(bed.ratio('spawn / docker create+start (none)', spawn,
                    times['none'][1:]))
    print(bed.ratio('spawn / docker create+start (bridge)', spawn,
                    times['bridge'][1:]))
