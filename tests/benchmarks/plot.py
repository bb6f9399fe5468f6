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


"""Pictures and a table of what benchmarks have found, for documentation.

Reads the files of JSON in a folder, which ``--json`` has written, and writes
SVG and ``figures.csv`` beside them. Each picture names the results that it is
of, so that a test finds one that is older than they are.
"""

import argparse
import collections.abc
import dataclasses
import pathlib
import statistics
import typing

import matplotlib
from matplotlib import figure as mpl
from matplotlib import ticker

from tests.benchmarks import results

_OURS, _BARE = '#0b63a5', '#9a9a9a'
#: Of parts, told apart by who does not see colors, too.
_PARTS = ('#08306b', '#2171b5', '#6baed6', '#c6dbef', '#e6a157', '#f3d9b1',
          '#7f7f7f', '#d9d9d9')
_WIDTH, _ROW = 7.2, 0.34
_STYLE = {
    'font.family': 'sans-serif', 'font.size': 10, 'axes.titlesize': 11,
    'axes.titlelocation': 'left', 'axes.spines.top': False,
    'axes.spines.right': False, 'axes.edgecolor': '#555555',
    'axes.labelcolor': '#222222', 'grid.color': '#e3e3e3',
    # Text stays text: small files, which can be searched and read aloud.
    'svg.fonttype': 'none', 'svg.hashsalt': 'nova-docker'}

_Figure = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class _Bar:
    """A bar of parts, one behind the other.

    :ivar values: of each part, in what the axis shows
    """
    label: str
    values: collections.abc.Sequence[float]
    colors: collections.abc.Sequence[str]


def _axes(rows: int, panels: int = 1) -> tuple[mpl.Figure, typing.Any]:
    """A picture with room for some rows, and what to draw on."""
    figure = mpl.Figure(figsize=(_WIDTH, 1.3 + _ROW * rows),
                        layout='constrained')
    axes = figure.subplots(1, panels)
    for each in (axes if panels > 1 else [axes]):
        each.set_axisbelow(True)
    return figure, axes


def _bars(axes: typing.Any, bars: collections.abc.Sequence[_Bar],
          unit: str) -> None:
    for row, bar in enumerate(bars):
        left = 0.
        for value, color in zip(bar.values, bar.colors):
            axes.barh(row, value, left=left, color=color, height=0.68)
            left += value
        axes.annotate(f'{left:.0f}' if left >= 100 else f'{left:.3g}',
                      (left, row), (4, 0), va='center',
                      textcoords='offset points', color='#222222')
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='x')
    axes.set_xlabel(unit)


def _legend(axes: typing.Any, names: collections.abc.Iterable[str],
            colors: collections.abc.Iterable[str]) -> None:
    """Below, as wide as the picture."""
    handles, labels = zip(*((axes.barh(0, 0, color=color), name)
                            for name, color in zip(names, colors)))
    axes.figure.legend(handles, labels, loc='outside lower center',
                       ncols=4, frameon=False, fontsize=9)


def _ratios(axes: typing.Any, figures: collections.abc.Sequence[_Figure],
            title: str) -> None:
    """Each figure's ratio, and where half of its pairs are."""
    for row, figure in enumerate(figures):
        pairs = [ours / bare for ours, bare in
                 zip(figure['driver'], figure['bare'])]
        low, _, high = (statistics.quantiles(pairs) if len(pairs) > 1
                        else pairs * 3)
        axes.plot((low, high), (row, row), color=_OURS, linewidth=2,
                  alpha=0.4)
        ratio = results.ratio(figure)
        axes.plot(ratio, row, 'o', color=_OURS)
        axes.annotate(f'{ratio:.2f}', (ratio, row), (0, 6), ha='center',
                      textcoords='offset points', fontsize=9)
    axes.axvline(1, color='#555555', linewidth=1)
    axes.set_yticks(range(len(figures)),
                    [figure['what'] for figure in figures])
    axes.set_ylim(len(figures) - 0.5, -0.7)
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='x')
    axes.set_title(title)


def _times(found: list[_Figure]) -> mpl.Figure:
    """What takes how many times as long as by hand."""
    figures = [figure for name, wanted in (
        ('spawn', ('spawn',)), ('destroy', ('destroy',)),
        ('snapshot', ('snapshot',)), ('load', ('load',)),
        ('migrate', None)) for figure in results.figures(found, name)
        if 'bare' in figure and (wanted is None or (
            figure['what'] in wanted and 'none' not in figure['by']))]
    figure, axes = _axes(len(figures) + 1)
    _ratios(axes, figures, 'Time of the driver / time by hand')
    axes.set_xscale('log')
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.5), max(high, 2))
    axes.xaxis.set_major_locator(ticker.FixedLocator(
        [0.125, 0.25, 0.5, 1, 2, 4]))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel('less is better')
    return figure


def _rates(found: list[_Figure]) -> mpl.Figure:
    """What a server gets of the host's disk and network."""
    figures = [*results.figures(found, 'network'),
               *results.figures(found, 'disk')]
    figure, axes = _axes(len(figures) + 1)
    _ratios(axes, figures, 'Rate in a server / rate outside of it')
    axes.set_xlabel('more is better, but for the round trip')
    axes.margins(x=0.1)
    return figure


def _spawn(found: list[_Figure]) -> mpl.Figure:
    """Where the time of a spawn goes."""
    *pairs, = (each for each in results.figures(found, 'spawn')
               if 'bare' in each)
    parts, = (each['parts'] for each in results.figures(found, 'spawn')
              if 'parts' in each)
    figure, axes = _axes(len(pairs) + 1)
    inside = parts['gate']
    spent = {'create': parts['create'], 'start': parts['start'] - inside,
             'move the port inside': inside, 'plug the port': parts['ports'],
             'all else': parts['rest']}
    _bars(axes, [
        _Bar('the driver', [1e3 * each for each in spent.values()], _PARTS),
        *(_Bar(pair['by'], [1e3 * statistics.median(pair['bare'])], [_BARE])
          for pair in pairs)], 'milliseconds, median')
    axes.set_title('A server, and a container by hand')
    _legend(axes, spent, _PARTS)
    return figure


def _parallel(found: list[_Figure]) -> mpl.Figure:
    """Rates of many at once."""
    pairs = results.figures(found, 'parallel')
    figure, axes = _axes(2 * len(pairs))
    _bars(axes, [_Bar(f'{pair["what"]}: {who}',
                      [statistics.median(pair[side])], [color])
                 for pair in pairs for who, side, color in (
                     ('the driver', 'driver', _OURS),
                     ('by hand', 'bare', _BARE))],
          'in a second, median; more is better')
    axes.set_title('Many at once')
    return figure


def _ports(found: list[_Figure]) -> mpl.Figure:
    """What ports add."""
    pairs = [each for each in results.figures(found, 'ports')
             if 'bare' in each]
    figure, axes = _axes(len(pairs) + 1)
    _bars(axes, [
        *(_Bar(pair['what'], [1e3 * statistics.median(pair['driver'])],
               [_OURS]) for pair in pairs),
        _Bar(pairs[0]['by'], [1e3 * statistics.median(pairs[0]['bare'])],
             [_BARE])], 'milliseconds, median')
    axes.set_title('Servers with several ports')
    return figure


def _migrate(found: list[_Figure]) -> mpl.Figure:
    """Where the time of a move goes."""
    figures = results.figures(found, 'migrate')
    bars: list[_Bar] = []
    spent: dict[str, float] = {}
    for parts, pair in zip(figures[::2], figures[1::2]):
        spent = dict(parts['parts'])
        spent.pop('down')
        bars += (_Bar(parts['what'], list(spent.values()), _PARTS),
                 _Bar('by hand', [statistics.median(pair['bare'])],
                      ['#bdbdbd']))
    figure, axes = _axes(len(bars) + 1)
    _bars(axes, bars, 'seconds, median')
    axes.set_title('A cold migration, by what the server has written')
    _legend(axes, ['all else' if part == 'rest' else part for part in spent],
            _PARTS)
    return figure


def _density(found: list[_Figure]) -> mpl.Figure:
    """What idle servers take, and what their upkeep takes."""
    steps = [each for each in results.figures(found, 'density')
             if 'parts' in each]
    counts = [int(each['what'].split()[0]) for each in steps]
    figure, (left, right) = _axes(5, panels=2)
    names = [name for name in steps[0]['parts'] if name.startswith('memory')]
    left.stackplot(
        counts, [[(each['parts'][name] - steps[0]['parts'][name]) / 2**20
                  for each in steps] for name in names],
        labels=[name.removeprefix('memory of ') for name in names],
        colors=_PARTS[::2])
    left.set_title('Memory, more than without servers')
    left.set_ylabel('MiB')
    for task, color in (('resources', _PARTS[1]), ('power states',
                                                   _PARTS[4])):
        right.plot(counts, [1e3 * each['parts'][task] for each in steps],
                   'o-', color=color, label=task)
    right.set_title('Periodic tasks')
    right.set_ylabel('milliseconds, median')
    for axes in (left, right):
        axes.set_xlabel('servers')
        axes.set_xlim(0, counts[-1])
        # Room for the legend.
        axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
        axes.grid()
        axes.legend(frameon=False, fontsize=9, loc='upper left')
    return figure


#: How to draw each, and the benchmarks without which it is not drawn.
PLOTS: dict[str, tuple[collections.abc.Callable[
    [list[_Figure]], mpl.Figure], tuple[str, ...]]] = {
        'times': (_times, ('spawn', 'destroy')),
        'rates': (_rates, ('network', 'disk')),
        'spawn': (_spawn, ('spawn',)),
        'parallel': (_parallel, ('parallel',)),
        'ports': (_ports, ('ports',)),
        'migrate': (_migrate, ('migrate',)),
        'density': (_density, ('density',))}


def main() -> None:
    """Write all that there are results for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=pathlib.Path)
    folder = parser.parse_args().folder
    found = results.read(folder)
    names = [name for name, (_draw, needed) in PLOTS.items() if all(
        results.figures(found, each) for each in needed)]
    with matplotlib.rc_context(_STYLE):
        for name in names:
            draw, _needed = PLOTS[name]
            draw(found).savefig(
                folder / f'{name}.svg', facecolor='white', metadata={
                    'Date': None, 'Description': results.digest(found)})
    (folder / 'figures.csv').write_text(results.table(found))
    print(f'{len(names)} pictures and a table of {len(found)} benchmarks: '
          f'{", ".join(names)}')
