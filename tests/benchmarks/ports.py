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


"""What ports cost: to attach one, and to spawn with 1, 2 and 4 of them.

A spawn is compared with bare create and start on the engine's own bridge.
"""

import collections
import os
import statistics

from tests.benchmarks import bed
from tests.benchmarks import results

_PAIRS = 10
_PORTS = (1, 2, 4)

_Times = dict[str, list[float]]


def _attach(both: bed.Bed, times: _Times) -> None:
    """A port comes to a server that runs, and goes."""
    instance, port = both.instance(), both.port()
    both.spawn(instance)
    both.spent.clear()
    times['all'].append(bed.seconds(both.attach, instance, port))
    for part in ('ports', 'os-vif', 'gate'):
        times[part].append(both.spent[part])
    times['detach'].append(bed.seconds(both.detach, instance, port))
    both.destroy(instance)


def _bare(both: bed.Bed, times: _Times) -> None:
    name = bed.name()
    times['bare'].append(bed.seconds(both.run, name))
    both.remove(name)


def _spawn(both: bed.Bed, ports: int, times: _Times) -> None:
    instance = both.instance(ports)
    both.spent.clear()
    times[f'spawn {ports}'].append(bed.seconds(both.spawn, instance))
    for part in ('ports', 'gate'):
        times[f'{part} {ports}'].append(both.spent[part])
    both.destroy(instance)


def _each(medians: dict[str, float], what: str) -> float:
    """Of the ports after the first."""
    first, last = _PORTS[0], _PORTS[-1]
    return (medians[f'{what} {last}'] - medians[f'{what} {first}']) / (
        last - first)


def main() -> None:
    """Print times of an attach, ratios of spawns, and the cost of a port."""
    options = bed.arguments(__doc__, _PAIRS)
    times: _Times = collections.defaultdict(list)
    with bed.Bed(options) as both:
        # One more than asked for: the first of all is slow.
        for _ in range(options.pairs + 1):
            _attach(both, times)
            _bare(both, times)
            for ports in _PORTS:
                _spawn(both, ports, times)
    times = {part: each[1:] for part, each in times.items()}
    medians = {part: 1e3 * statistics.median(each)
               for part, each in times.items()}
    pair = medians['ports'] - medians['os-vif']
    rest = medians['all'] - medians['ports'] - medians['gate']
    results.parts('attach a port', {
        'os-vif': medians['os-vif'] / 1e3, 'move': medians['gate'] / 1e3,
        'pair': pair / 1e3, 'rest': rest / 1e3})
    print('attach a port: {all:.0f} ms: {os-vif:.0f} ms os-vif, '
          '{gate:.0f} ms to move and configure it, '.format(**medians) +
          f'{pair:.0f} ms for its veth pair, {rest:.0f} ms for all else; '
          f'detach it: {medians["detach"]:.0f} ms')
    for ports in _PORTS:
        print(bed.ratio(
            f'{ports}-port spawn / docker create+start (bridge)',
            times[f'spawn {ports}'], times['bare']))
    print(f'each further port: {_each(medians, "spawn"):.0f} ms: '
          f'{_each(medians, "ports"):.0f} ms to plug it, '
          f'{_each(medians, "gate"):.0f} ms to move and configure it '
          f'(medians of {options.pairs} rounds; '
          f'load {os.getloadavg()[0]:.1f})')
