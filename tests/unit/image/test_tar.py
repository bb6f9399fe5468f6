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

import io
import tarfile

from oslotest import base

from nova_docker.image import tar
from tests.fixtures import archives


def header(**fields):
    """A header block with the given TarInfo fields."""
    info = tarfile.TarInfo('name')
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def patched(block, start, data):
    """A header block with other bytes at an offset and a right checksum."""
    block = bytearray(block)
    block[start:start + len(data)] = data
    block[148:156] = b' ' * 8
    block[148:156] = b'%06o\0 ' % sum(block)
    return bytes(block)


def pax(*records, kind=b'x'):
    """An extension header with raw records."""
    body = b''.join(records)
    return (header(name='pax', type=kind, size=len(body)) + body
            + bytes(-len(body) % 512))


def record(key, value):
    length = len(key) + len(value) + 3
    while len(b'%d' % length) + len(key) + len(value) + 3 != length:
        length = len(b'%d' % length) + len(key) + len(value) + 3
    return b'%d %s=%s\n' % (length, key, value)


def read(data, chunk=1 << 20):
    """Every member as a tuple of kind, name, link and data."""
    chunks = (data[at:at + chunk] for at in range(0, len(data), chunk))
    return [(entry.kind, entry.name, entry.link, b''.join(pieces))
            for entry, pieces in tar.members(chunks)]


class ParserTestCase(base.BaseTestCase):

    def test_length_is_without_the_end(self):
        body = header(size=700) + bytes(1024) + pax(record(b'a', b'b'))
        for step in (1, 100, 512, 1 << 20):
            parser = tar.Parser()
            data = body + bytes(5000)
            for at in range(0, len(data), step):
                for _event in parser.feed(data[at:at + step]):
                    pass
                if not parser.ended:
                    self.assertEqual(min(at + step, len(data)), parser.length)
            self.assertEqual(len(body), parser.length)


class MembersTestCase(base.BaseTestCase):

    def test_agrees_with_tarfile_in_every_format_and_chunking(self):
        long_name = 'd/' * 60 + 'n' * 120
        members = [('a', b'1' * 700), archives.directory('d/'), ('empty', b''),
                   (long_name, b'x' * 512),
                   archives.link('link', '../' + 't' * 150)]
        for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            data = archives.tar(members, format)
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                expected = [
                    (x.type, x.name.encode(), x.linkname.encode(),
                     archive.extractfile(x).read() if x.isreg() else b'')
                    for x in archive]
            for chunk in (1, 7, 511, 512, 513, 1 << 20):
                found = [(kind, name.removesuffix(b'/'), link, content)
                         for kind, name, link, content in read(data, chunk)]
                self.assertEqual(expected, found, (format, chunk))

    def test_ustar_prefix(self):
        name = 'p' * 120 + '/' + 'n' * 90
        data = archives.tar([(name, b'')], tarfile.USTAR_FORMAT)
        self.assertEqual(name.encode(), read(data)[0][1])

    def test_skips_what_the_caller_leaves(self):
        data = archives.tar([('a', b'1' * 3000), ('b', b'2')])
        names = [entry.name for entry, _data in tar.members([data])]
        self.assertEqual([b'a', b'b'], names)

    def test_large_size_in_base_256(self):
        block = header(size=9 << 30)
        self.assertEqual(b'\x80', block[124:125])
        entry, = tar.Parser().feed(block)
        self.assertEqual(9 << 30, entry.size)

    def test_pax_size_wins(self):
        data = pax(record(b'size', b'3')) + header(size=512) + b'abc'
        self.assertEqual([(b'0', b'name', b'', b'abc')],
                         read(data + bytes(509 + 1024)))

    def test_empty_pax_value_is_none(self):
        data = (pax(record(b'path', b'other'), record(b'path', b''))
                + header() + bytes(1024))
        self.assertEqual(b'name', read(data)[0][1])

    def test_global_header_has_no_effect(self):
        data = (pax(record(b'path', b'other'), kind=b'g') + header()
                + bytes(1024))
        self.assertEqual(b'name', read(data)[0][1])

    def test_reads_chunks_to_their_end(self):
        chunks = iter([archives.tar([('a', b'')]), b'more', b'and more'])
        self.assertEqual(1, len(list(tar.members(chunks))))
        self.assertEqual([], list(chunks))

    def test_truncated_anywhere(self):
        data = archives.tar([('a', b'1' * 700), ('b', b'')],
                            tarfile.GNU_FORMAT)
        end = 512 + 1024 + 512
        self.assertEqual(2, len(read(data[:end + 512])))
        for length in range(0, end + 512, 97):
            self.assertRaises(tar.Refused, read, data[:length])


class RefusedTestCase(base.BaseTestCase):

    def refused(self, data, text):
        error = self.assertRaises(tar.Refused, read, data + bytes(1024))
        self.assertIn(text, str(error))

    def test_not_a_tar(self):
        self.refused(b'Q' * 4096, 'not a tar')
        self.refused(b'QFI\xfb' + bytes(4096), 'not a tar')

    def test_wrong_checksum(self):
        block = bytearray(header())
        block[0] ^= 1
        self.refused(bytes(block), 'damaged')

    def test_odd_numbers(self):
        for field in (b'0o17', b'1_0', b'+5', b'-5', b'7\x007', b'8'):
            self.refused(patched(header(), 124, field.ljust(12, b'\0')),
                         'damaged')
        self.refused(patched(header(), 124, b'\xff' * 12), 'odd size')
        self.refused(patched(header(), 124, b'\x80' + b'\xff' * 11),
                     'odd size')

    def test_large_extension_is_not_read(self):
        for kind in (b'x', b'g', b'L', b'K'):
            block = header(type=kind, size=(1 << 20) + 1)
            self.refused(block, 'extension header')

    def test_damaged_pax_records(self):
        for body in (b'no length', b'5 a=b', b'99 a=b\n', b'0 a=b\n',
                     b'6 ab\n\n', b'99999999999999999999999 a=b\n',
                     record(b'size', b'-1'), record(b'size', b'0x5'),
                     record(b'a', b'b') * 100000):
            self.refused(pax(body) + header(), 'extension header')

    def test_sparse_files(self):
        self.refused(header(type=b'S'), 'sparse')
        for key in (b'GNU.sparse.major', b'GNU.sparse.map'):
            self.refused(pax(record(key, b'1')) + header(), 'sparse')


class IsHeaderTestCase(base.BaseTestCase):

    def test_is_header(self):
        self.assertTrue(tar.is_header(header()))
        self.assertFalse(tar.is_header(header()[:-1]))
        self.assertFalse(tar.is_header(bytes(512)))
        self.assertFalse(tar.is_header(b'{"a": 1}'.ljust(512)))
