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


"""What a benchmark has found, as a file of JSON: for plots and for tables.

A benchmark notes its figures as it prints them; ``--json FILE`` before its
name writes them down, with a description of the machine.
"""

import collections.abc
import csv
import datetime
import hashlib
import io
import json
import os
import pathlib
import platform
import statistics
import typing

Json = dict[str, typing.Any]

#: By the unit that a benchmark prints, that of the values.
KEPT = {'ms': 's', 'us': 's', 'MB/s': 'bytes/s', 'Mbit/s': 'bit/s'}

#: What this process has found.
_figures: list[Json] = []
_machine: Json = {}

#: The columns of :func:`table`.
_HEADER = ('What', 'By', 'Driver', 'By hand', 'Ratio', 'Pairs', 'Load')
#: By the unit in which values are kept, how to show them.
_SHOWN = {'s': ('ms', 1e3), 'bytes/s': ('MB/s', 1e-6),
          'bit/s': ('Mbit/s', 1e-6), 'per s': ('per s', 1),
          'bytes': ('MiB', 2**-20)}


def pairs(what: str, by: str, ours: collections.abc.Sequence[float],
          bare: collections.abc.Sequence[float], unit: str = 's') -> None:
    """Note what was compared.

    :param what: is done by the driver
    :param by: what it is compared with
    :param unit: s, bytes, bytes/s, bit/s or 'per s'
    """
    _figures.append({'what': what, 'by': by, 'unit': unit,
                     'driver': [_short(each) for each in ours],
                     'bare': [_short(each) for each in bare],
                     'load': round(os.getloadavg()[0], 1)})


def parts(what: str, spent: collections.abc.Mapping[str, float],
          unit: str = 's') -> None:
    """Note the parts that something has, by their names and in order."""
    _figures.append({'what': what, 'unit': unit, 'parts': {
        part: _short(each) for part, each in spent.items()}})


def engine(info: collections.abc.Mapping[str, typing.Any]) -> None:
    """Note the engine, by its answer to GET /info."""
    _machine.update({
        'engine': info['ServerVersion'], 'storage driver': info['Driver'],
        'control groups': f'v{info.get("CgroupVersion", "1")}'})


def write(path: pathlib.Path, benchmark: str) -> None:
    """Write down all that was noted."""
    path.write_text(json.dumps({
        'benchmark': benchmark,
        'taken': datetime.date.today().isoformat(),
        'machine': _read_machine() | _machine,
        'figures': _figures}, indent=1) + '\n')


def read(folder: pathlib.Path) -> list[Json]:
    """The results in a folder, in the order of their names."""
    return [json.loads(path.read_text())
            for path in sorted(folder.glob('*.json'))]


def digest(results: collections.abc.Iterable[Json]) -> str:
    """What tells whether a plot is of these results."""
    return hashlib.sha256(json.dumps(
        list(results), sort_keys=True).encode()).hexdigest()[:16]


def figures(results: collections.abc.Iterable[Json], benchmark: str
            ) -> list[Json]:
    """What a benchmark has found."""
    return [figure for result in results
            if result['benchmark'] == benchmark
            for figure in result['figures']]


def ratio(figure: Json) -> float:
    """Of the medians of the driver and of what it is compared with."""
    return statistics.median(figure['driver']) / statistics.median(
        figure['bare'])


def table(results: collections.abc.Iterable[Json]) -> str:
    """CSV of all that was compared."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator='\n')
    rows.writerow(_HEADER)
    for result in results:
        for figure in result['figures']:
            if 'bare' in figure:
                unit, scale = _SHOWN[figure['unit']]
                rows.writerow((
                    figure['what'], _literal(figure['by']), *(
                        f'{_shown(scale * statistics.median(figure[side]))} '
                        f'{unit}' for side in ('driver', 'bare')),
                    f'{ratio(figure):.2f}', len(figure['driver']),
                    figure['load']))
    return text.getvalue()


def _literal(by: str) -> str:
    """What is compared with; a command with its dashes as they are."""
    return f'``{by}``' if by.startswith('docker') else by


def _shown(value: float) -> str:
    """With two digits at least, and no more than make sense."""
    return f'{value:.0f}' if value >= 10 else f'{value:.2g}'


def _short(value: float) -> float:
    """Without digits that say nothing."""
    return float(f'{value:.4g}')


def _read_machine() -> Json:
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        models = [line.partition(':')[2].strip() for line in file
                  if line.startswith('model name')]
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return {'processor': next(iter(models), platform.machine()),
            'CPUs': os.cpu_count(), 'memory in GiB': round(memory / 2**30),
            'kernel': platform.release(),
            'Python': platform.python_version()}
