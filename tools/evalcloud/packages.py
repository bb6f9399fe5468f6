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

"""Debian packages: install what is missing, or unpack beside the system.

No host name of a package archive stands here: a later suite is reached
through the machine's own sources with the name of the suite replaced.
"""

import contextlib
import os
import pathlib
import platform
import re
import subprocess
import tempfile
import typing

from evalcloud import paths
from evalcloud import progress

#: The stable suite that follows each one.
NEXT_SUITE = {'bookworm': 'trixie', 'trixie': 'forky'}

_APT = ('apt-get', '-q', '-y', '-o', 'DPkg::Lock::Timeout=600')
_POLICY = pathlib.Path('/usr/sbin/policy-rc.d')


def codename() -> str:
    """The machine's suite, for example ``bookworm``."""
    return platform.freedesktop_os_release().get('VERSION_CODENAME', '')


def architecture() -> str:
    """The machine's architecture in Debian's and Docker's words."""
    return progress.run('dpkg', '--print-architecture').strip()


def missing(names: typing.Iterable[str]) -> list[str]:
    """Those of ``names`` that are not installed."""
    return [name for name in names if not _installed(name)]


def _installed(name: str) -> bool:
    done = subprocess.run(
        ['dpkg-query', '-W', '-f', '${db:Status-Abbrev}', name],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.startswith('ii')


def install(names: typing.Iterable[str]) -> None:
    """Install the packages that are missing; no daemon is started."""
    wanted = missing(names)
    if not wanted:
        return
    if os.geteuid():
        raise progress.Failure('installing Debian packages needs root: '
                               + ' '.join(wanted))
    with (progress.Step(f'Debian packages: {" ".join(wanted)}'),
          paths.locked('apt')):
        env = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
        if not all(candidate(name) for name in wanted):
            _update()
        command = (*_APT, 'install', '--no-install-recommends', *wanted)
        with _no_daemons():
            try:
                progress.run(*command, env=env)
            except progress.Failure:
                # Package lists older than the archive name files that are
                # gone from it.
                _update()
                progress.run(*command, env=env)


def _update() -> None:
    """Read the package lists anew; two at once would fail."""
    progress.run(*_APT, 'update')


@contextlib.contextmanager
def _no_daemons() -> typing.Iterator[None]:
    """Keep package scripts from starting services (policy-rc.d)."""
    if _POLICY.exists():
        verdict = subprocess.call([str(_POLICY), 'mariadb', 'start'],
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        if verdict != 101:
            raise progress.Failure(
                f'{_POLICY} of this machine lets packages start services: '
                'move it away, or install these packages by hand')
        yield
        return
    _POLICY.write_text('#!/bin/sh\nexit 101\n')
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def candidate(name: str, refresh: bool = False) -> str | None:
    """Version that the machine's own sources offer, None without one.

    :param refresh: read the package lists anew when they do not have it (a
        fresh machine may have none at all).
    """
    text = progress.run('apt-cache', 'policy', name)
    if refresh and 'Candidate: ' not in text:
        with paths.locked('apt'):
            _update()
        return candidate(name)
    found = re.search(r'Candidate: (\S+)', text)
    return found.group(1) if found and found.group(1) != '(none)' else None


def major(version: str) -> int:
    """First number of a Debian version, behind its epoch."""
    found = re.match(r'(?:\d+:)?(\d+)', version)
    return int(found.group(1)) if found else 0


def unpack(names: typing.Sequence[str], suite: str,
           target: pathlib.Path) -> None:
    """Unpack packages of ``suite`` below ``target``, not installing them."""
    with tempfile.TemporaryDirectory(prefix='nova-docker-apt-') as name:
        folder = pathlib.Path(name)
        options = ['-o', 'APT::Sandbox::User=root']
        if suite == codename():
            for each in names:
                candidate(each, refresh=True)
        else:
            options += _private(folder, suite)
            progress.run(*_APT, *options, 'update')
        progress.run(*_APT, *options, 'download', *names, cwd=name)
        _extract(folder, target)


def unpack_whole(names: typing.Sequence[str], suite: str,
                 target: pathlib.Path) -> None:
    """The same, with all that they depend on, as for an empty machine."""
    with tempfile.TemporaryDirectory(prefix='nova-docker-apt-') as name:
        folder = pathlib.Path(name)
        options = ['-o', 'APT::Sandbox::User=root', *_private(folder, suite),
                   '-o', 'Dir::State::status=/dev/null']
        progress.run(*_APT, *options, 'update')
        progress.run(*_APT, *options, 'install', '--download-only',
                     '--no-install-recommends', *names)
        _extract(folder / 'cache' / 'archives', target)


def _extract(folder: pathlib.Path, target: pathlib.Path) -> None:
    for package in sorted(folder.glob('*.deb')):
        progress.run('dpkg', '-x', str(package), str(target))


def _private(folder: pathlib.Path, suite: str) -> list[str]:
    """Options of an apt of its own in ``folder`` that knows ``suite``."""
    lines, stanzas = suite_sources(codename(), suite)
    parts = folder / 'sources.list.d'
    parts.mkdir()
    (parts / 'suite.list').write_text(lines)
    (parts / 'suite.sources').write_text(stanzas)
    for each in ('state/lists/partial', 'cache/archives/partial'):
        (folder / each).mkdir(parents=True)
    return ['-o', f'Dir::State={folder}/state',
            '-o', 'Dir::State::status=/var/lib/dpkg/status',
            '-o', f'Dir::Cache={folder}/cache',
            '-o', 'Dir::Etc::SourceList=/dev/null',
            '-o', f'Dir::Etc::SourceParts={parts}']


def suite_sources(old: str, new: str,
                  folder: pathlib.Path = pathlib.Path('/etc/apt'),
                  ) -> tuple[str, str]:
    """The machine's sources of suite ``old``, rewritten to ``new``.

    :returns: one-line entries and deb822 stanzas.
    :raises Failure: when the machine names no source of ``old``.
    """
    files = [folder / 'sources.list']
    files += sorted((folder / 'sources.list.d').glob('*.list'))
    lines = ''.join(entry for file in files if file.exists()
                    for entry in _lines(file.read_text(), old, new))
    stanzas = '\n'.join(
        entry for file in sorted((folder / 'sources.list.d')
                                 .glob('*.sources'))
        for entry in _stanzas(file.read_text(), old, new))
    if not lines and not stanzas:
        raise progress.Failure(f'{folder} names no source of suite {old}')
    return lines, stanzas


def _suites(text: str, old: str, new: str) -> str:
    """``text`` with the names of ``old``'s suites replaced, the rest gone."""
    return ' '.join(new + word[len(old):] for word in text.split()
                    if word in (old, f'{old}-updates', f'{old}-security'))


def _lines(text: str, old: str, new: str) -> typing.Iterator[str]:
    pattern = re.compile(r'deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+main\b')
    for line in text.splitlines():
        found = pattern.match(line.strip())
        suite = _suites(found.group(3), old, new) if found else ''
        if found and suite:
            yield f'deb {found.group(1) or ""}{found.group(2)} {suite} main\n'


def _stanzas(text: str, old: str, new: str) -> typing.Iterator[str]:
    for stanza in re.split(r'\n\s*\n', text):
        kept = [line for line in stanza.splitlines()
                if not line.startswith('#')]
        found = re.search(r'^Suites:(.*)$', '\n'.join(kept), re.MULTILINE)
        suites = _suites(found.group(1), old, new) if found else ''
        if not suites:
            continue
        yield '\n'.join(
            f'Suites: {suites}' if line.startswith('Suites:') else line
            for line in kept) + '\n'
