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

"""MariaDB, its databases, and a copy of them for the next cloud."""

import base64
import concurrent.futures
import contextlib
import hashlib
import pathlib
import secrets
import subprocess

from evalcloud import paths
from evalcloud import progress
from evalcloud import services
from evalcloud import settings
from evalcloud import supervisor

NAMES = ('keystone', 'placement', 'glance', 'neutron', 'nova_api',
         'nova_cell0', 'nova')


def names(cloud: settings.Settings) -> tuple[str, ...]:
    """The databases of a cloud."""
    return (*NAMES, *cloud.more)


def answers(cloud: settings.Settings) -> bool:
    """Whether the server serves."""
    with contextlib.suppress(progress.Failure):
        _sql(cloud, 'SELECT 1')
        return True
    return False


def _create(cloud: settings.Settings) -> None:
    """Create the user and the empty databases."""
    statements = [f"CREATE USER openstack@localhost IDENTIFIED BY "
                  f"'{cloud.password}'"]
    for name in names(cloud):
        statements += [f'CREATE DATABASE {name}',
                       f'GRANT ALL ON {name}.* TO openstack@localhost']
    _sql(cloud, '; '.join(statements))


def _client(cloud: settings.Settings, program: str) -> list[str]:
    return [program, '--no-defaults', '-uroot',
            f'--socket={cloud.mysql_socket}']


def _sql(cloud: settings.Settings, statements: str) -> None:
    done = subprocess.run(_client(cloud, 'mariadb'), input=statements,
                          text=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE)
    if done.returncode:
        raise progress.Failure(f'mariadb: {done.stderr.strip()}')


def _cache(cloud: settings.Settings) -> pathlib.Path:
    """Name of the copy; another one when anything that it holds changes."""
    catalog = pathlib.Path(__file__).parent / 'inside' / 'catalog.py'
    parts = (cloud.constraints.read_text(), catalog.read_text(),
             cloud.password, str(cloud.state), repr(settings.PORTS),
             repr(names(cloud)),
             progress.run('mariadbd', '--version'))
    mark = hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:16]
    return paths.cache_dir() / f'databases-{cloud.series}-{mark}.tar'


def start(cloud: settings.Settings, control: supervisor.Supervisor) -> bool:
    """Server up with all databases; whether a copy has filled them."""
    cache = _cache(cloud)
    restored = cache.exists()
    if restored:
        progress.run('tar', '-C', str(cloud.data), '-xf', str(cache))
    else:
        progress.run('mariadb-install-db', '--no-defaults', '--user=root',
                     f'--datadir={cloud.data}/mysql',
                     '--auth-root-authentication-method=normal',
                     '--skip-test-db', log=f'{cloud.log}/mariadb-install.log')
    _serve(cloud, control)
    if not restored:
        _create(cloud)
    return restored


def _serve(cloud: settings.Settings, control: supervisor.Supervisor) -> None:
    control.start('mariadb')
    control.wait('mariadb', lambda: answers(cloud), 60)


def save(cloud: settings.Settings, control: supervisor.Supervisor) -> None:
    """Copy the server's files and Keystone's keys into the cache.

    Files and not a dump: unpacking them takes no CPU.
    """
    control.stop('mariadb')
    cache = _cache(cloud)
    fresh = cache.with_suffix('.new')
    fresh.touch(mode=0o600)
    progress.run('tar', '-C', str(cloud.data), '-cSf', str(fresh), 'mysql',
                 'keystone')
    fresh.rename(cache)
    _serve(cloud, control)


def schemas(cloud: settings.Settings) -> None:
    """Create all tables, Keystone's first user and Nova's cells.

    Two at a time: this is CPU work, and two is what a small machine has.
    """
    _keys(cloud)
    chains = [_neutron, _nova, _others]
    if cloud.volumes:
        chains.append(_cinder)
    if 'heat' in cloud.more:
        chains.append(_heat)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(chain, cloud) for chain in chains]:
            done.result()


def _keys(cloud: settings.Settings) -> None:
    """What fernet_setup and credential_setup write, without two starts."""
    for kind in ('fernet', 'credential'):
        folder = cloud.data / 'keystone' / kind
        folder.mkdir(mode=0o700, parents=True)
        for number in '01':
            key = base64.urlsafe_b64encode(secrets.token_bytes(32))
            (folder / number).touch(mode=0o600)
            (folder / number).write_bytes(key)


def _manage(cloud: settings.Settings, program: str, file: str,
            *arguments: str) -> None:
    progress.run(f'{cloud.venv}/bin/{program}', '--config-file',
                 f'{cloud.etc}/{file}', *arguments,
                 env={**services.environment(cloud),
                      'OS_BOOTSTRAP_PASSWORD': cloud.password},
                 log=f'{cloud.log}/{program}.log')


def _neutron(cloud: settings.Settings) -> None:
    _manage(cloud, 'neutron-db-manage', 'neutron/neutron.conf',
            '--config-file', f'{cloud.etc}/neutron/ml2_conf.ini',
            'upgrade', 'heads')


def _nova(cloud: settings.Settings) -> None:
    for arguments in (
            ('api_db', 'sync'),
            ('cell_v2', 'map_cell0'),
            ('db', 'sync'),
            ('cell_v2', 'create_cell', '--name', 'cell1')):
        _manage(cloud, 'nova-manage', 'nova/nova.conf', *arguments)


def _cinder(cloud: settings.Settings) -> None:
    _manage(cloud, 'cinder-manage', 'cinder/cinder.conf', 'db', 'sync')


def _heat(cloud: settings.Settings) -> None:
    _manage(cloud, 'heat-manage', 'heat/heat.conf', 'db_sync')


def _others(cloud: settings.Settings) -> None:
    keystone = 'keystone/keystone.conf'
    _manage(cloud, 'keystone-manage', keystone, 'db_sync')
    url = cloud.url('keystone') + '/v3/'
    _manage(cloud, 'keystone-manage', keystone, 'bootstrap',
            '--bootstrap-admin-url', url, '--bootstrap-internal-url', url,
            '--bootstrap-public-url', url,
            '--bootstrap-region-id', settings.REGION)
    _manage(cloud, 'glance-manage', 'glance/glance-api.conf', 'db_sync')
    _manage(cloud, 'placement-manage', 'placement/placement.conf', 'db',
            'sync')
