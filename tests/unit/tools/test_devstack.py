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

"""The plugin of DevStack, and what it has of the evaluation cloud."""

import pathlib
import re
import subprocess
import sys
from unittest import mock

import fixtures
from oslotest import base

from evalcloud import devstack
from evalcloud import dropbear
from evalcloud import paths
from evalcloud import settings
from evalcloud import tempest
from nova_docker.host import startup
from nova_docker.host import traits
from nova_docker.spec import names
from tests.unit.tools import test_tempest

PLUGIN = paths.SOURCE / 'devstack'
LIB = (PLUGIN / 'lib' / 'nova-docker').read_text()

#: Functions of DevStack; those that do something print what they are to do.
STUBS = r"""
for name in iniset setup_develop stop_process install_package \
        restart_service; do
    eval "$name() { echo $name \"\$@\"; }"
done
openstack() {
    case "$*" in
        *"image list"*) echo vm container;;
        *"image show"*vm) echo "{'os_distro': 'cirros'}";;
        *"image show"*container) echo "{'img_hv_type': 'docker'}";;
        *) echo "$@";;
    esac
}
sudo() {
    case "$*" in
        *"evalcloud.devstack image") printf '%s\n' --file '/an image';;
        *"evalcloud.devstack tempest") echo scenario target_dir /root;;
        "sysctl -n kernel.pty.max") echo 2097152;;
        "cat /etc/systemd/"*) echo "$DROP_IN";;
        "sysctl -n "*) echo 128;;
        "tee "*) cat >&3;;
        *) echo sudo "$@";;
    esac
}
define_plugin() { :; }
trueorfalse() { echo "${!2:-$1}"; }
is_ubuntu() { [[ -z "$DISTRO" ]]; }
echo_summary() { :; }
is_service_enabled() { [[ " nova $SERVICES " == *" $1 "* ]]; }
NOVA_CONF=nova.conf NOVA_CONF_DIR=/etc/nova TEMPEST_CONFIG=tempest.conf
DATA_DIR=/data STACK_USER=stack DOCKER_GROUP=docker
exec 3>&1
set -o errexit
"""


class ImageTest(base.BaseTestCase):

    def test_arguments(self):
        with mock.patch.object(dropbear, 'packed', autospec=True,
                               return_value=pathlib.Path('/image')):
            found = devstack.image()
        self.assertEqual('/image', found[found.index('--file') + 1])
        self.assertEqual('bare', found[found.index('--container-format') + 1])
        self.assertIn('img_hv_type=docker', found)
        self.assertIn('docker_image_type=rootfs', found)
        self.assertIn(f'trait:{traits.DOCKER}=required', found)

    def test_printed_a_line_each(self):
        stdout = self.useFixture(fixtures.StringStream('stdout')).stream
        self.useFixture(fixtures.MonkeyPatch('sys.stdout', stdout))
        with (mock.patch.object(sys, 'argv', ['devstack', 'image']),
              mock.patch.object(dropbear, 'packed', autospec=True,
                                return_value=pathlib.Path('/image'))):
            devstack.main()
        stdout.seek(0)
        self.assertEqual(['--file', '/image'],
                         stdout.read().splitlines()[:2])


class TempestTest(test_tempest.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            dropbear, 'packed', autospec=True,
            return_value=test_tempest.FOUND.image_file))
        self.found = {tuple(line.split(' ', 2)[:2]): line.split(' ', 2)[2]
                      for line in devstack.tempest_conf()}

    def test_says_what_the_evaluation_cloud_says(self):
        cloud = tempest.sections(self.cloud, test_tempest.FOUND)
        for (section, option), value in self.found.items():
            self.assertEqual(str(cloud[section][option]), value, option)

    def test_no_feature_is_left_out(self):
        matrix = paths.SOURCE / tempest.MATRIX
        features = (tempest.features(matrix) |
                    tempest.features(matrix, tempest._VOLUME_FEATURES))
        said = {option for _, option in self.found}
        for option in set(features) - said:
            self.assertTrue(features[option], option)
            self.assertIn(option, devstack._NOT_ALONE)

    def test_what_the_driver_can_not_do_is_off(self):
        self.assertEqual('False', self.found[
            'compute-feature-enabled', 'spice_console'])


class PluginTest(base.BaseTestCase):
    """With functions in the place of DevStack's, which print."""

    def _run(self, script, **variables):
        return subprocess.run(
            ['bash', '-c', STUBS + script], text=True, check=True,
            env={'PATH': '/usr/bin:/bin', **variables},
            stdout=subprocess.PIPE).stdout

    def _phase(self, phase, driver='docker', services='n-cpu'):
        return self._run(
            f'source {PLUGIN}/settings; source {PLUGIN}/plugin.sh {phase}',
            VIRT_DRIVER=driver, SERVICES=services)

    def test_defaults(self):
        script = (f'source {PLUGIN}/override-defaults\n'
                  'echo "$DEFAULT_IMAGE_NAME,$NOVA_SHUTDOWN_TIMEOUT"')
        self.assertEqual('dropbear,10\n',
                         self._run(script, VIRT_DRIVER='docker'))
        self.assertEqual(',\n', self._run(script, VIRT_DRIVER='libvirt'))
        self.assertEqual('mine,0\n', self._run(
            script, VIRT_DRIVER='docker', DEFAULT_IMAGE_NAME='mine',
            NOVA_SHUTDOWN_TIMEOUT='0'))

    def test_settings(self):
        script = (f'source {PLUGIN}/settings\n'
                  'echo "$NOVA_DOCKER_DIR,$NOVA_DOCKER_CACHE"')
        self.assertEqual(f'{paths.SOURCE},/data/nova-docker\n',
                         self._run(script))
        self.assertEqual(f'{paths.SOURCE},/mine\n',
                         self._run(script, NOVA_DOCKER_CACHE='/mine'))

    def test_filters_of_the_scheduler(self):
        ours = ','.join(settings.SCHEDULER_FILTERS)
        script = f'source {PLUGIN}/settings; echo "$NOVA_FILTERS"'
        self.assertEqual(f'{ours}\n', self._run(
            script, NOVA_FILTERS=ours.removesuffix(',NUMATopologyFilter')))
        self.assertEqual(f'{ours}\n', self._run(script, NOVA_FILTERS=ours))

    def test_the_driver_is_installed_for_any_service(self):
        wanted = f'setup_develop {paths.SOURCE} osc\n'
        for driver, services in (('docker', 'n-cpu'), ('libvirt', 'n-api')):
            self.assertEqual(wanted, self._phase(
                'stack install', driver, services))

    def test_nova_compute_is_configured(self):
        said = self._phase('stack post-config').splitlines()
        self.assertIn('iniset nova.conf DEFAULT compute_driver '
                      'docker.DockerDriver', said)
        filters = said[-1].split()[-1]
        self.assertTrue(pathlib.Path(filters).is_file())
        self.assertIn('/etc/nova/rootwrap.d', said[-1])

    def test_hosts_of_other_servers_are_left_alone(self):
        for phase in ('stack pre-install', 'stack post-config',
                      'stack test-config', 'unstack', 'clean'):
            for driver, services in (('libvirt', 'n-cpu tempest'),
                                     ('docker', 'n-api')):
                self.assertEqual('', self._phase(phase, driver, services))

    def test_limits_of_the_kernel(self):
        found = dict(re.findall(r'^(NOVA_DOCKER_\w+)="?([^"\n]+)', LIB, re.M))
        self.assertEqual(
            startup.SHARED,
            {name.replace('.', '/'): int(found['NOVA_DOCKER_SYSCTL_MIN'])
             for name in found['NOVA_DOCKER_SYSCTLS'].split()})

    def test_limits_of_the_kernel_are_raised_only(self):
        said = self._run(f'source {PLUGIN}/settings\n'
                         f'source {PLUGIN}/lib/nova-docker\n'
                         'set_nova_docker_sysctls')
        self.assertEqual(
            'fs.inotify.max_user_instances = 1048576\n'
            'kernel.pty.max = 2097152\n'
            'sudo sysctl -p /etc/sysctl.d/90-nova-docker.conf\n', said)

    def _install_lxcfs(self, **variables):
        return self._run(f'source {PLUGIN}/settings\n'
                         f'source {PLUGIN}/lib/nova-docker\n'
                         'install_lxcfs', **variables)

    def test_lxcfs(self):
        package = 'install_package lxcfs\n'
        said = self._install_lxcfs()
        drop_in = re.search(r'\[Service\](\n.+=.*)+', said).group()
        self.assertIn('--enable-cfs', drop_in)
        self.assertEqual(
            package + 'sudo mkdir -p /etc/systemd/system/lxcfs.service.d\n'
            + drop_in + '\nsudo systemctl daemon-reload\n'
            'restart_service lxcfs\n', said)
        # Servers have its files: it is not restarted for nothing.
        self.assertEqual(package, self._install_lxcfs(DROP_IN=drop_in))

    def test_without_lxcfs(self):
        self.assertEqual('', self._install_lxcfs(NOVA_DOCKER_LXCFS='False'))
        self.assertEqual('', self._install_lxcfs(DISTRO='rhel9'))

    def test_images(self):
        said = self._phase('stack extra', services='g-api').splitlines()
        self.assertEqual(
            ['--os-cloud devstack-admin image set '
             '--property img_hv_type=qemu vm'] +
            [f'--os-cloud devstack-admin image create --public '
             f'--file /an image {name}' for name in tempest.IMAGES], said)

    def test_tempest(self):
        self.assertEqual(
            'iniset tempest.conf scenario target_dir /root\n',
            self._phase('stack test-config', services='tempest'))

    def test_names_are_those_of_the_driver(self):
        found = dict(re.findall(r'^(NOVA_DOCKER_\w+)=(\S+)$', LIB, re.M))
        self.assertEqual(names.LABEL_INSTANCE, found['NOVA_DOCKER_LABEL'])
        for repository in (names.IMAGE_REPOSITORY, names.CARRIED_REPOSITORY,
                           names.SNAPSHOT_REPOSITORY):
            self.assertTrue(repository.startswith(
                found['NOVA_DOCKER_IMAGES']))
        self.assertEqual(names.cdi_file('1234'), pathlib.Path(
            found['NOVA_DOCKER_CDI'] + '1234.json').name)

    def test_samples_are_shell(self):
        for sample in (PLUGIN / 'samples').iterdir():
            localrc = sample.read_text().split('[[post-config')[0]
            self._run('enable_plugin() { echo; }; enable_service() { echo; }\n'
                      + localrc.replace('[[local|localrc]]', ''))
