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

from oslotest import base

from nova_docker.image import disk
from nova_docker.image import tar
from tests.fixtures import archives

ISO = bytes(32769) + b'CD001' + bytes(30000)
MBR = (bytes(446) + b'\x80\0\0\0\x83\0\0\0\1\0\0\0\0\x10\0\0'
       + bytes(48) + b'\x55\xaa' + bytes(10000))


class RefuseTestCase(base.BaseTestCase):

    def test_disks(self):
        for name, data in (('qcow2', b'QFI\xfb\0\0\0\3' + bytes(10000)),
                           ('vmdk', b'KDMV\1\0\0\0' + bytes(10000)),
                           ('vhd', b'conectix' + bytes(10000)),
                           ('iso', ISO), ('gpt', MBR)):
            error = self.assertRaises(tar.Refused, disk.refuse, data)
            self.assertIn(f'disk image ({name})', str(error))

    def test_all_else(self):
        for data in (b'', b'x', b'junk' * 1000, bytes(100000),
                     b'QFI\xfb', archives.docker25([])):
            disk.refuse(data)

    def test_archive_that_looks_like_a_disk(self):
        disk.refuse(archives.tar([('QFI', b'')] * 100))
