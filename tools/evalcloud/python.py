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

"""Virtual environments from PyPI, made with uv under pinned constraints."""

import hashlib
import importlib.util
import os
import pathlib
import shutil
import sys

from evalcloud import packages
from evalcloud import paths
from evalcloud import progress

#: What the venv of a cloud holds, in the versions of the constraints.
REQUIREMENTS = (
    'nova', 'keystone', 'glance', 'neutron', 'openstack-placement',
    'python-openstackclient', 'osc-placement', 'openstacksdk', 'pymysql',
    'pyuwsgi', 'supervisor',
    # Neutron imports it without asking for it.
    'pyroute2',
    # To install the driver without fetching anything.
    'pbr', 'setuptools',
)

#: And that of Tempest; the rest makes its results readable.
TEMPEST_REQUIREMENTS = ('tempest', 'os-testr', 'python-subunit', 'junitxml')

#: Clients that tests use beside those of the cloud.
CLIENTS_REQUIREMENTS = ('ansible', 'openstacksdk')


def uv() -> pathlib.Path:
    """The uv program, installed into the cache where it is missing."""
    folder = paths.cache_dir() / 'uv'
    with paths.locked('uv'):
        if not (folder / 'bin' / 'uv').exists():
            if importlib.util.find_spec('ensurepip') is None:
                packages.install(['python3-venv'])
            with progress.Step('uv from PyPI'):
                progress.run(sys.executable, '-m', 'venv', '--clear',
                             str(folder), env=environment())
                progress.run(str(folder / 'bin' / 'pip'), 'install', '-q',
                             '--disable-pip-version-check', 'uv',
                             env=environment())
    return folder / 'bin' / 'uv'


def environment() -> dict[str, str]:
    """Environment for Python programs of ours.

    Without byte code on disk each start of a service would compile it all.
    """
    env = dict(os.environ)
    for name in ('PYTHONDONTWRITEBYTECODE', 'PYTHONPATH', 'PYTHONHOME',
                 'VIRTUAL_ENV'):
        env.pop(name, None)
    env['UV_CACHE_DIR'] = str(paths.cache_dir() / 'uv-cache')
    return env


def services_venv(venv: pathlib.Path, constraints: pathlib.Path,
                  source: pathlib.Path, *more: str) -> None:
    """Make the venv of the services, with the driver from ``source``.

    :param more: more services; they stay in the venv
    """
    with paths.locked(venv.name):
        _venv(venv, constraints, REQUIREMENTS, source / 'requirements.txt')
        _install_driver(venv, source)
        for name in more:
            add(venv, constraints, name)


def tempest_venv(source: pathlib.Path) -> pathlib.Path:
    """Tempest's venv, made on its first use; one for every series."""
    venv = paths.cache_dir() / 'venv-tempest'
    with paths.locked(venv.name):
        _venv(venv, source / 'tools' / 'constraints' / 'tempest.txt',
              TEMPEST_REQUIREMENTS)
    return venv


def clients_venv(source: pathlib.Path) -> pathlib.Path:
    """The venv of Ansible, made on its first use.

    Without byte code: that of its collections takes longer than a test.
    """
    venv = paths.cache_dir() / 'venv-clients'
    with paths.locked(venv.name):
        _venv(venv, source / 'tools' / 'constraints' / 'clients.txt',
              CLIENTS_REQUIREMENTS, compiled=False)
    return venv


def _venv(venv: pathlib.Path, constraints: pathlib.Path,
          names: tuple[str, ...],
          requirements: pathlib.Path | None = None,
          compiled: bool = True) -> None:
    """Install packages into a fresh venv unless it has them.

    :param compiled: whether with byte code
    """
    mark = hashlib.sha256(repr(
        (sys.version, names, _read(requirements) if requirements else '',
         constraints.read_text())).encode()).hexdigest()
    if _read(venv / 'complete') == mark:
        return
    wanted = [*names, *(('-r', str(requirements)) if requirements else ())]
    with progress.Step(f'{names[0]} and more from PyPI into {venv}'):
        shutil.rmtree(venv, ignore_errors=True)
        env = environment()
        progress.run(str(uv()), 'venv', '-q', '--no-config',
                     '-p', sys.executable, str(venv), env=env)
        progress.run(str(uv()), 'pip', 'install', '-q', '--no-config',
                     *(['--compile-bytecode'] if compiled else []),
                     '-p', f'{venv}/bin/python',
                     '-c', str(constraints), *wanted, env=env)
    (venv / 'complete').write_text(mark)


def add(venv: pathlib.Path, constraints: pathlib.Path, name: str) -> None:
    """Install one more package unless the venv has it."""
    mark = venv / f'with-{name}'
    if mark.exists():
        return
    with progress.Step(f'{name} from PyPI into {venv}'):
        progress.run(str(uv()), 'pip', 'install', '-q', '--no-config',
                     '--compile-bytecode', '-p', f'{venv}/bin/python',
                     '-c', str(constraints), name, env=environment())
    mark.touch()


def _install_driver(venv: pathlib.Path, source: pathlib.Path) -> None:
    """Install the driver from its checkout, editable."""
    declared = ''.join(_read(source / name)
                       for name in ('pyproject.toml', 'setup.cfg'))
    mark = hashlib.sha256(f'{source}\n{declared}'.encode()).hexdigest()
    if _read(venv / 'driver') == mark:
        return
    with progress.Step(f'nova-docker from {source}'):
        progress.run(str(uv()), 'pip', 'install', '-q', '--no-config',
                     '--no-deps', '--no-build-isolation',
                     '-p', f'{venv}/bin/python', '-e', str(source),
                     env=environment())
    (venv / 'driver').write_text(mark)


def _read(file: pathlib.Path) -> str:
    return file.read_text() if file.exists() else ''
