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


"""Many spawns at once against bare create and start on the same engine."""

import collections.abc
from concurrent import futures
import os
import statistics
import typing

from tests.benchmarks import bed
from tests.benchmarks import results

_ROUNDS = 5
_SERVERS = 24
_THREADS = (4, 8)
_BARE = 'docker create+start (bridge)'


def _each(threads: int, function: collections.abc.Callable[..., object],
          items: collections.abc.Iterable[typing.Any]) -> None:
    """Call a function for all items, some at a time; the first error."""
    with futures.ThreadPoolExecutor(threads) as pool:
        try:
            for done in [pool.submit(function, item) for item in items]:
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _round(both: bed.Bed, threads: int) -> tuple[float, float]:
    """Containers in a second, by the driver and bare."""
    instances = [both.instance() for _ in range(_SERVERS)]
    ours = bed.seconds(_each, threads, both.spawn, instances)
    _each(threads, both.destroy, instances)
    names = [bed.name() for _ in range(_SERVERS)]
    bare = bed.seconds(_each, threads, both.run, names)
    _each(threads, both.remove, names)
    return _SERVERS / ours, _SERVERS / bare


def main() -> None:
    """Print rates, of which more is better, and their ratio."""
    options = bed.arguments(__doc__, _ROUNDS)
    figures = []
    with bed.Bed(options) as both:
        instance, name = both.instance(), bed.name()
        both.spawn(instance)
        both.run(name)
        for threads in _THREADS:
            rates = [_round(both, threads) for _ in range(options.pairs)]
            results.pairs(f'spawns, {threads} at once', _BARE, *zip(*rates),
                          unit='per s')
            ours, bare = (statistics.median(each) for each in zip(*rates))
            figures.append(f'{ours / bare:.2f} at {threads} at once '
                           f'({ours:.1f} / {bare:.1f} per s)')
    print(f'rate of {_SERVERS} spawns / {_BARE}: '
          f'{", ".join(figures)} (median of {options.pairs} rounds; '
          f'load {os.getloadavg()[0]:.1f})')
