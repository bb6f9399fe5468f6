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

import fnmatch
import re

from oslotest import base

from nova_docker.spec import names

UUID = '6f2ad1c5-1d4a-4a9e-8b3c-0a4e0a3a1f10'
#: What the engine takes as reference: repository with domain, then a tag.
REFERENCE = re.compile(
    r'[a-z0-9.-]+(/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+:[\w][\w.-]{0,127}')


class NamesTest(base.BaseTestCase):

    def test_container_name(self):
        self.assertEqual(f'nova-{UUID}', names.container_name(UUID))
        self.assertEqual(3, len({
            names.container_name(UUID), names.rescue_name(UUID),
            names.replaced_name(UUID)}))

    def test_rescue_is_told_by_a_label(self):
        own = names.labels(UUID, 'instance-1', 'host1', 'project1')
        other = names.labels(UUID, 'instance-1', 'host1', 'project1', True)
        self.assertEqual((False, True), (names.is_rescue(own),
                                         names.is_rescue(other)))
        self.assertEqual(UUID, names.instance_uuid(other))
        self.assertNotEqual(names.device(UUID), names.device(UUID, True))
        # Without a value of its own it would have that of the image.
        self.assertIn(names.LABEL_ROLE, own)
        self.assertEqual({names.LABEL_WATCHDOG: ''},
                         names.watchdog_label(None))
        self.assertEqual({names.LABEL_DHCP: ''}, names.dhcp_label(False))

    def test_who_sets_up_its_interfaces(self):
        self.assertTrue(names.is_dhcp(names.dhcp_label(True)))
        self.assertFalse(names.is_dhcp(names.dhcp_label(False)))
        # One of before there was a choice.
        self.assertFalse(names.is_dhcp({}))

    def test_ephemerals(self):
        for mark, sizes in (('', []), ('m', [1]), ('m', [10, 20])):
            label = names.ephemerals_label(mark, sizes)
            self.assertEqual((mark, sizes), names.ephemerals(label))
        # Of a container that an older driver made.
        self.assertEqual(('', []), names.ephemerals({}))

    def test_labels_say_whose_it_is(self):
        labels = names.labels(UUID, 'instance-1', 'host1', 'project1')
        self.assertEqual(UUID, names.instance_uuid(labels))
        pairs = {f'{key}={value}' for key, value in labels.items()}
        self.assertLessEqual(set(names.instance_filter(UUID, 'host1')), pairs)
        self.assertLessEqual(set(names.host_filter('host1')), pairs)
        self.assertLessEqual({'instance-1', 'project1'},
                             set(labels.values()))

    def test_filters_tell_hosts_apart(self):
        self.assertNotEqual(names.host_filter('host1'),
                            names.host_filter('host10'))

    def test_cdi_class_is_longer_than_one_character(self):
        vendor, _, cdi_class = names.CDI_KIND.partition('/')
        self.assertGreater(len(vendor), 1)
        self.assertGreater(len(cdi_class), 1)
        self.assertEqual(f'{names.CDI_KIND}={UUID}', names.cdi_device(UUID))
        devices = [names.device(UUID, rescue) for rescue in (False, True)]
        self.assertEqual(8, len({
            name for device in devices for name in (
                device, names.system_device(device),
                names.nesting_device(device), names.pci_device(device))}))

    def test_cdi_file_is_of_the_instance(self):
        self.assertIn(UUID, names.cdi_file(UUID))
        self.assertTrue(names.cdi_file(UUID).endswith('.json'))

    def test_image_reference_is_legal_for_any_checksum(self):
        for checksum in (None, '', 'a' * 32, 'A' * 512, 'x/y:z@'):
            self.assertRegex(names.image_reference(UUID, checksum),
                             REFERENCE)

    def test_image_reference_changes_with_image_and_data(self):
        references = {names.image_reference(image, checksum)
                      for image in (UUID, UUID[::-1])
                      for checksum in (None, 'aa', 'ab')}
        self.assertEqual(6, len(references))

    def test_image_references_begin_alike(self):
        self.assertTrue(names.image_reference(UUID, 'aa').startswith(
            names.image_prefix(UUID)))
        self.assertFalse(names.image_reference(UUID + '1', 'aa').startswith(
            names.image_prefix(UUID)))

    def test_base_references(self):
        of_glance = names.image_reference(UUID, 'aa')
        found = names.base_references(of_glance)
        self.assertEqual(of_glance, found[0])
        # Whatever it was called where it comes from.
        self.assertEqual(found, names.base_references(found[1]))
        lost_its_name = 'sha256:' + '0123456789abcdef' * 4
        for reference in (*found, *names.base_references(lost_its_name)):
            self.assertRegex(reference, REFERENCE)

    def test_snapshot_reference(self):
        for host in ('host1', 'Ä b/c:d' * 50):
            reference = names.snapshot_reference(UUID, host)
            self.assertRegex(reference, REFERENCE)
            pattern = names.snapshot_pattern(host)
            self.assertTrue(fnmatch.fnmatchcase(reference, pattern))
            self.assertFalse(fnmatch.fnmatchcase(
                names.snapshot_reference(UUID, host + '0'), pattern))

    def test_labels_have_the_prefix(self):
        for label in names.labels(UUID, 'i', 'h', 'p', rescue=True):
            self.assertTrue(label.startswith(names.LABEL_PREFIX))

    def test_devices_fit_the_kernel(self):
        self.assertEqual('tap6f2ad1c5-1d', names.host_device(UUID, None))
        self.assertEqual('tapxyz', names.host_device(UUID, 'tapxyz'))
        for device in (names.host_device(UUID, None),
                       names.host_device(UUID, 'x' * 40),
                       names.parked_device(UUID)):
            self.assertLess(len(device), 15)

    def test_both_ends_differ(self):
        self.assertNotEqual(names.host_device(UUID, None),
                            names.parked_device(UUID))

    def test_pulled_reference(self):
        digest = 'sha256:' + '0123456789abcdef' * 4
        found = names.pulled_reference(UUID, 'r.example/a:1', digest)
        self.assertRegex(found, f'^{REFERENCE.pattern}$')
        self.assertTrue(found.startswith(
            names.pulled_references(UUID, 'r.example/a:1')))
        for image_id, where in ((UUID, 'r.example/a:2'),
                                (UUID[::-1], 'r.example/a:1')):
            self.assertFalse(found.startswith(
                names.pulled_references(image_id, where)))
        self.assertEqual(digest, names.pulled_digest(found))
        self.assertTrue(names.is_pulled(found))
        self.assertFalse(names.is_pulled(names.image_reference(UUID, 'aa')))

    def test_image_volumes(self):
        for text, volumes in (
                ('["/a", "/b/"]', ['/a', '/b']), ('[]', []), ('x', []),
                ('"/a"', []), ('[1, "a", "/", "/../a", "/a\\u0000"]', ['/a'])):
            self.assertEqual(volumes, names.image_volumes(
                {names.LABEL_VOLUMES: text}), text)
        self.assertEqual([], names.image_volumes(None))
