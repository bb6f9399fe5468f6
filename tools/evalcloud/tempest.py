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

"""Tempest on a cloud: its configuration, a run, and what came of it."""

import collections
import configparser
import dataclasses
import pathlib
import shutil
import subprocess
import typing
import xml.etree.ElementTree

from evalcloud import config
from evalcloud import criu
from evalcloud import dropbear
from evalcloud import progress
from evalcloud import python
from evalcloud import services
from evalcloud import settings
from evalcloud import system_image
from evalcloud import tempest_exclusions

#: What runs when nothing is named.
PATTERNS = [r'tempest\.api\.compute', r'tempest\.scenario']
#: Two names of one image, for tests that need another one.
IMAGES = ('dropbear', 'dropbear-alt')
FLAVORS = ('m1.nano', 'm1.tiny')
#: The driver's support matrix, in the checkout.
MATRIX = pathlib.Path('doc', 'source', 'user', 'support-matrix.ini')
#: Kinds of services that Tempest asks for, by its name of one.
_SERVICES = {'cinder': 'block-storage', 'glance': 'image',
             'neutron': 'network', 'nova': 'compute',
             'swift': 'object-store', 'horizon': 'dashboard'}

#: Features of Tempest, each with the row of the support matrix that has it.
_FEATURES = {
    'attach_encrypted_volume': 'operation.encrypted-volume',
    'change_password': 'operation.set-admin-password',
    'cold_migration': 'operation.resize',
    'config_drive': 'guest.setup.configdrive',
    'console_output': 'console.serial.log',
    'interface_attach': 'operation.attach-interface',
    'pause': 'operation.pause',
    'personality': 'guest.setup.inject.file',
    'rescue': 'operation.rescue',
    'resize': 'operation.resize',
    'serial_console': 'console.serial.interactive',
    # A shelved server is a snapshot.
    'shelve': 'operation.snapshot',
    # What was unshelved is as any server.
    'shelve_migrate': 'operation.resize',
    'snapshot': 'operation.snapshot',
    'spice_console': 'console.spice',
    # Volumes keep their names when their server is rescued.
    'stable_rescue': 'operation.rescue',
    'suspend': 'operation.suspend',
    'swap_volume': 'operation.swap-volume',
    'vnc_console': 'console.vnc',
    'volume_multiattach': 'operation.multiattach-volume',
}
_VOLUME_FEATURES = {'extend_attached_volume': 'operation.extend-volume'}


@dataclasses.dataclass(frozen=True)
class Found:
    """What a cloud has.

    :ivar images: ids of IMAGES
    :ivar image_file: path of the data of one more
    :ivar flavors: ids of FLAVORS
    :ivar public_network: id
    :ivar extensions: of Neutron
    :ivar services: their kinds
    """

    images: tuple[str, str]
    image_file: pathlib.Path
    flavors: tuple[str, str]
    public_network: str
    extensions: tuple[str, ...]
    services: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many tests ended how.

    :ivar reasons: why they were skipped; a class that is skipped as a whole
        is one
    """

    passed: int
    failed: int
    reasons: dict[str, int]

    @property
    def skipped(self) -> int:
        return sum(self.reasons.values())


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    counts: Counts
    excluded: tempest_exclusions.Share


def features(matrix: pathlib.Path,
             rows_of: dict[str, str] = _FEATURES) -> dict[str, bool]:
    """Tempest's feature flags, from the driver's support matrix."""
    rows = configparser.ConfigParser(interpolation=None)
    rows.read_string(matrix.read_text())
    return {name: rows[row]['driver.docker'] == 'complete'
            for name, row in rows_of.items()}


def driver(matrix: pathlib.Path,
           image_file: pathlib.Path) -> config.Sections:
    """What the driver and its image are, on any cloud.

    :param matrix: the driver's support matrix
    :param image_file: the data of one more image
    """
    return {
        'compute-feature-enabled': {
            **features(matrix), 'hostname_fqdn_sanitization': True,
            # Of virtual machines.
            'ide_bus': False},
        'volume-feature-enabled': features(matrix, _VOLUME_FEATURES),
        'validation': {'image_ssh_user': dropbear.USER,
                       'image_alt_ssh_user': dropbear.USER},
        'scenario': {'dhcp_client': 'udhcpc',
                     # What is in /tmp, the default, is gone with a reboot.
                     'target_dir': '/root', **_image(image_file)},
    }


def sections(cloud: settings.Settings, found: Found) -> config.Sections:
    """tempest.conf."""
    return _merged(_cloud(cloud, found), _compute(cloud, found),
                   driver(cloud.source / MATRIX, found.image_file),
                   _volume(cloud) if cloud.volumes else {})


def _merged(*parts: config.Sections) -> config.Sections:
    """Sections that may have the same names."""
    found: config.Sections = {}
    for part in parts:
        for name, options in part.items():
            found[name] = found.get(name, {}) | options
    return found


def _cloud(cloud: settings.Settings, found: Found) -> config.Sections:
    return {
        'DEFAULT': {'log_file': folder(cloud) / 'tempest.log',
                    'debug': True},
        'oslo_concurrency': {'lock_path': folder(cloud) / 'lock'},
        'auth': {'use_dynamic_credentials': True,
                 'admin_username': 'admin', 'admin_project_name': 'admin',
                 'admin_password': cloud.password,
                 'admin_domain_name': 'Default'},
        'identity': {'auth_version': 'v3', 'region': settings.REGION,
                     'uri_v3': cloud.url('keystone') + '/v3'},
        # A machine that is busy may need more than the default of a minute.
        'service-clients': {'http_timeout': 300},
        'service_available': {name: kind in found.services
                              for name, kind in _SERVICES.items()},
        'network': {'public_network_id': found.public_network,
                    'floating_network_name': 'public'},
        'network-feature-enabled': {
            'api_extensions': ','.join(found.extensions),
            'ipv6_subnet_attributes': True, 'port_security': True},
        'validation': {'run_validation': True,
                       'connect_method': 'floating',
                       'auth_method': 'keypair'},
    }


def _image(file: pathlib.Path) -> dict[str, typing.Any]:
    """An image that Tempest puts into the cloud by itself."""
    formats = system_image.FORMATS
    return {'img_file': file,
            'img_container_format': formats['container_format'],
            'img_disk_format': formats['disk_format'],
            'img_properties': ','.join(
                f'{key}:{value}' for key, value in
                dropbear.PROPERTIES.items())}


def _compute(cloud: settings.Settings, found: Found) -> config.Sections:
    image, image_alt = found.images
    flavor, flavor_alt = found.flavors
    return {
        'compute': {'image_ref': image, 'image_ref_alt': image_alt,
                    'flavor_ref': flavor, 'flavor_ref_alt': flavor_alt,
                    'min_compute_nodes': cloud.computes,
                    **_migration(cloud), 'max_microversion': 'latest'},
        'compute-feature-enabled': {
            'scheduler_enabled_filters': ','.join(
                settings.SCHEDULER_FILTERS),
            # Of servers without volumes, whose files are copied.
            'live_migration': (cloud.computes > 1 and not cloud.engine_url
                               and criu.works()),
            'block_migration_for_live_migration': True},
    }


def _migration(cloud: settings.Settings) -> dict[str, str]:
    """The hosts that servers are to go from and to."""
    if cloud.computes == 1:
        return {}
    source, dest = cloud.compute_hosts[:2]
    return {'migration_source_host': source.name,
            'migration_dest_host': dest.name}


def _volume(cloud: settings.Settings) -> config.Sections:
    standard, multiattach = settings.VOLUME_TYPES
    return {
        'volume': {'volume_type': standard,
                   'volume_type_multiattach': multiattach,
                   'storage_protocol': {'loop': 'local',
                                        'lvm': 'iSCSI'}[cloud.volumes],
                   'max_microversion': 'latest'},
        'volume-feature-enabled': {'backup': False},
    }


def folder(cloud: settings.Settings) -> pathlib.Path:
    """Where the results are, which stay when the cloud goes."""
    return cloud.log / 'tempest'


def file(cloud: settings.Settings) -> pathlib.Path:
    """The configuration file, which has the password."""
    return cloud.etc / 'tempest' / 'tempest.conf'


def run(cloud: settings.Settings, patterns: list[str],
        concurrency: int) -> Outcome:
    """Run the tests that match and write what came of them.

    :raises progress.Failure: there is no such test, or the exclusions are
        not what they may be
    """
    exclusions = cloud.source / tempest_exclusions.FILE
    reasons = tempest_exclusions.read(exclusions)
    venv = python.tempest_venv(cloud.source)
    services.run_inside(cloud, 'tempest')
    results = folder(cloud)
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    stestr = _Stestr(cloud, venv, results)
    share = tempest_exclusions.share(reasons, stestr.names())
    progress.say(f'results in {results}')
    stestr.run(patterns, concurrency, exclusions)
    return Outcome(_results(venv, results), share)


class _Stestr:
    """stestr with Tempest's tests.

    :param results: where it keeps what it knows
    """

    def __init__(self, cloud: settings.Settings, venv: pathlib.Path,
                 results: pathlib.Path) -> None:
        tests = next(venv.glob('lib/python*/site-packages/tempest'))
        self._command = [
            f'{venv}/bin/stestr', '--test-path', str(tests / 'test_discover'),
            '--top-dir', str(tests.parent),
            # All of a class go to one worker.
            '--group-regex', r'([^\.]*\.)*']
        self._results = results
        self._env = {
            **services.environment(cloud), 'TEMPEST_CONFIG': file(cloud).name,
            'TEMPEST_CONFIG_DIR': str(file(cloud).parent),
            'OS_TEST_TIMEOUT': '1200'}
        self._env['PATH'] = f'{venv}/bin:{self._env["PATH"]}'

    def names(self) -> list[str]:
        """Of all tests that there are."""
        for command in ('init', 'list'):
            output = progress.run(*self._command, command, env=self._env,
                                  cwd=str(self._results))
        return output.split()

    def run(self, patterns: list[str], concurrency: int,
            exclusions: pathlib.Path) -> None:
        subprocess.call(
            [*self._command, 'run', '--concurrency', str(concurrency),
             '--exclude-list', str(exclusions), *patterns],
            env=self._env, cwd=self._results)


def _results(venv: pathlib.Path, results: pathlib.Path) -> Counts:
    """Write the last run in a folder as JUnit and HTML, and count."""
    stream = results / 'results.subunit'
    junit = results / 'results.xml'
    with stream.open('wb') as out:
        if subprocess.call([f'{venv}/bin/stestr', 'last', '--subunit'],
                           stdout=out, cwd=results):
            raise progress.Failure('no test ran: see above')
    with stream.open('rb') as source, junit.open('wb') as out:
        # It ends with an error when a test failed.
        subprocess.call([f'{venv}/bin/subunit2junitxml'], stdin=source,
                        stdout=out)
    subprocess.call([f'{venv}/bin/subunit2html', str(stream),
                     str(results / 'results.html')],
                    stdout=subprocess.DEVNULL)
    return count(junit)


def count(junit: pathlib.Path) -> Counts:
    """What a file of JUnit says."""
    suite = xml.etree.ElementTree.parse(junit).getroot()
    failed = int(suite.attrib['failures']) + int(suite.attrib['errors'])
    reasons = collections.Counter(
        ' '.join((each.text or 'no reason').split())
        for each in suite.iterfind('testcase/skipped'))
    return Counts(int(suite.attrib['tests']) - failed - reasons.total(),
                  failed, dict(reasons.most_common()))
