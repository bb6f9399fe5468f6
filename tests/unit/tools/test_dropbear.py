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

import pathlib
import subprocess
from unittest import mock

from oslotest import base

from evalcloud import dropbear
from evalcloud import packages
from evalcloud import progress
from evalcloud import system_image
from tests.unit.tools import test_system_image


class RootfsTest(test_system_image.SystemImageTestCase):

    def setUp(self):
        super().setUp()
        dropbear.rootfs()

    def test_secrets_and_scripts_have_their_modes(self):
        for name, mode in (('etc/shadow', 0o600),
                           ('etc/sudoers.d/guest', 0o440),
                           ('etc/rc', 0o755), ('etc/udhcpc.script', 0o755),
                           ('bin/mount', 0o755), ('etc/inittab', 0o644)):
            self.assertEqual(
                mode, (self.tree / name).stat().st_mode & 0o777, name)

    def test_the_user_of_the_scripts_has_an_account(self):
        self.assertIn(f'user={dropbear.USER}\n',
                      (self.tree / 'etc/rc').read_text())
        self.assertIn(f'\n{dropbear.USER}:x:1000:1000:',
                      (self.tree / 'etc/passwd').read_text())

    def test_nobody_logs_in_by_password(self):
        for line in (self.tree / 'etc/shadow').read_text().splitlines():
            self.assertEqual('*', line.split(':')[1])

    def test_programs_of_packages_come_before_applets(self):
        hooks = [option for option in self.command if '-hook=' in option]
        names = [name for name in ('sync-in', '--install -s')
                 for hook in hooks if name in hook]
        self.assertEqual(['sync-in', '--install -s'], names)

    def test_folders_are_links_where_packages_have_files_below_usr_only(self):
        hooks = [option for option in self.command if '-hook=' in option]
        self.assertEqual(['ln -s usr/$each', 'chroot'], [
            part for hook in hooks for part in ('ln -s usr/$each', 'chroot')
            if part in hook])
        packages.codename.return_value = 'bookworm'
        with mock.patch.object(system_image, 'build', autospec=True) as built:
            dropbear.rootfs()
        self.assertNotIn(dropbear._MERGE, built.call_args.args[0].hooks)

    def test_config_drive_is_told_by_its_label(self):
        done = subprocess.run(
            [self.tree / 'sbin/blkid', '-L', 'another', '-o', 'device'])
        self.assertEqual(2, done.returncode)

    def test_mount_of_a_directory_and_its_reverse(self):
        drive, point = self.cache / 'drive', self.cache / 'mnt'
        drive.mkdir()
        point.mkdir()
        (drive / 'meta_data.json').write_text('{}')
        subprocess.check_call([self.tree / 'bin/mount', drive, point])
        self.assertEqual('{}', (point / 'meta_data.json').read_text())
        subprocess.check_call([self.tree / 'bin/umount', point])
        self.assertEqual([], list(point.iterdir()))
        self.assertFalse(point.is_symlink())

    def test_lists_no_disks_of_the_host(self):
        listed = subprocess.check_output(
            [self.tree / 'bin/lsblk', '-lb', '--nodeps'], text=True)
        self.assertEqual('NAME       TYPE', listed.splitlines()[0])
        for line in listed.splitlines()[1:]:
            self.assertRegex(line, '^vd[a-z]        disk$')

    def test_lists_ephemeral_disks(self):
        mounts, script = self.cache / 'mounts', self.tree / 'bin/lsblk'
        mounts.write_text(
            'overlay / overlay rw 0 0\n'
            '/dev/loop7 /mnt/ephemeral0 ext4 rw,nosuid 0 0\n')
        script.write_text(script.read_text().replace(
            '/proc/self/mounts', str(mounts)))
        listed = subprocess.check_output([script, '-lb', '--nodeps'],
                                         text=True)
        column = listed.index('TYPE')
        self.assertEqual(
            [('ephemeral0', 'disk')],
            [(line.split()[0], line[column:])
             for line in listed.splitlines()[1:]
             if not line.startswith('vd')])


class PackedTest(test_system_image.SystemImageTestCase):

    def test_made_once(self):
        tarball = dropbear.rootfs()

        def run(*command):
            pathlib.Path(command[command.index('-o') + 1]).touch()
        with mock.patch.object(progress, 'run', autospec=True,
                               side_effect=run) as ran:
            file = dropbear.packed()
            self.assertEqual(file, dropbear.packed())
        ran.assert_called_once()
        self.assertEqual(str(tarball), ran.mock_calls[0].args[-1])
        self.assertEqual(tarball, file.with_suffix(''))


class PropertiesTest(base.BaseTestCase):

    def test_its_init_ends(self):
        self.assertEqual('true',
                         dropbear.PROPERTIES['docker_system_container'])
        self.assertEqual('SIGUSR2', dropbear.PROPERTIES['docker_stop_signal'])
