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

from nova_docker.spec import shares

OPTIONS = shares.Options(('nfsvers=4.2',), ('noshare',), 60)


class ExportTest(base.BaseTestCase):

    def test_nfs(self):
        for location in ('10.0.0.50:/mnt/foo', 'nas.example.org:/a b'[:-2],
                         '[2001:db8::1]:/shares/x', 'nas:/'):
            found = shares.export('NFS', location, None, None, OPTIONS)
            self.assertEqual(
                shares.Export('nfs', location,
                              ('nfsvers=4.2', 'nosuid', 'nodev')), found)

    def test_ceph(self):
        location = '10.0.0.1:6789,[2001:db8::1]:6789:/volumes/_nogroup/x'
        found = shares.export('CEPHFS', location, 'nova-1a', 'AQ+/b==',
                              OPTIONS)
        self.assertEqual(
            shares.Export('ceph', location,
                          ('noshare', 'name=nova-1a', 'nosuid', 'nodev'),
                          'AQ+/b=='), found)
        self.assertNotIn('AQ', repr(found))

    def test_hostile_locations(self):
        for location in ('-o:/x', '--bind:/x', '/etc', 'nas:x', 'nas:', '',
                         'nas:/x,suid', 'nas:/x y', 'nas:/x\n', 'nas:/x\\040',
                         'nas,suid:/x', 'a b:/x', ':/x', 'nas:/\u00e9',
                         '../x:/y'):
            for protocol in ('NFS', 'CEPHFS'):
                if (protocol, location) != ('CEPHFS', 'nas,suid:/x'):
                    error = self.assertRaises(
                        ValueError, shares.export, protocol, location,
                        'nova', 'AQ==', OPTIONS)
                    self.assertNotIn('AQ==', str(error))

    def test_hostile_access(self):
        for user, key in (('nova,suid', 'AQ=='), ('nova', 'AQ==\nx'),
                          ('nova', 'a,b'), ('', 'AQ=='), (None, None),
                          ('nova', None)):
            self.assertRaises(ValueError, shares.export, 'CEPHFS',
                              'nas:/x', user, key, OPTIONS)


class ShareTest(base.BaseTestCase):

    def test_mounts(self):
        self.assertEqual(
            [{'hostPath': '/state/id', 'containerPath': '/shares/data-1',
              'type': 'bind', 'options': ['bind', 'rw', 'nosuid', 'nodev']}],
            shares.mounts([shares.share('id', 'data-1')], '/state'))

    def test_tags(self):
        for tag in ('..', 'a/b', '', 'a b', 'a' * 256, 'a\n'):
            self.assertRaises(ValueError, shares.share, 'id', tag)
