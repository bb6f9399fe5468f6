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

"""What needs no root; with it: tests/integration/transfer/test_changes.py."""

import io
import os
import tarfile

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import changes
from tests.fixtures import fifos
from tests.fixtures import privsep


class ChangesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.useFixture(fixtures.MockPatchObject(changes, '_WRITING', -1))
        self.folder = self.useFixture(fixtures.TempDir())
        self.source = self.folder.join('source')
        os.mkdir(self.source)
        self.notes = self.folder.join('notes')

    def path(self, name):
        return os.path.join(self.source, name)

    def write(self, name, data='data'):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'w') as file:
            file.write(data)

    def first(self):
        """Names in the first archive."""
        changes.survey(self.source, self.notes)
        return self.names(fifos.written(
            self.folder.join('fifo'), changes.pack_first, self.source,
            self.notes))

    def second(self):
        """What is kept of it, and the names in the second one."""
        changes.compare(self.source, self.notes)
        written = io.BytesIO(fifos.written(
            self.folder.join('fifo'), changes.pack, self.source, self.notes))
        kept = written.read(int(written.readline()))
        return set(kept.decode().split('\0')) - {''}, self.names(
            written.read())

    @staticmethod
    def names(data):
        with tarfile.open(fileobj=io.BytesIO(data)) as found:
            return {member.name + '/' * member.isdir() for member in found}


class ChangesTest(ChangesTestCase):

    def test_nothing_changed(self):
        self.write('a/b')
        self.write('a/line\nbreak')
        self.assertEqual({'./', './a/', './a/b', './a/line\nbreak'},
                         self.first())
        kept, again = self.second()
        self.assertEqual({'./', './a//', './a/b'}, kept)
        # What tar has said of it is read as two names.
        self.assertEqual({'./a/', './a/line\nbreak'}, again)

    def test_changed(self):
        for name in 'a/same', 'a/written', 'b/gone', 'c/renamed', 'd/file':
            self.write(name)
        self.first()
        self.write('a/written', 'other')
        self.write('new')
        os.unlink(self.path('b/gone'))
        os.rename(self.path('c'), self.path('e'))
        os.unlink(self.path('d/file'))
        self.write('d/file/in/it')
        kept, again = self.second()
        self.assertEqual({'.//', './a//', './a/same', './b//', './d//'}, kept)
        self.assertEqual(
            {'./', './a/', './a/written', './new', './b/', './d/',
             './d/file/', './d/file/in/', './d/file/in/it', './e/',
             './e/renamed'}, again)

    def test_links(self):
        self.write('a/file')
        os.link(self.path('a/file'), self.path('link'))
        self.write('other')
        self.first()
        os.rename(self.path('a'), self.path('b'))
        kept, again = self.second()
        self.assertEqual({'.//', './other'}, kept)
        self.assertEqual({'./', './b/', './b/file', './link'}, again)

    def test_it_may_still_be_written_to(self):
        self.useFixture(fixtures.MockPatchObject(changes, '_WRITING', 3600))
        self.write('file')
        self.first()
        self.assertEqual(({'.//'}, {'./', './file'}), self.second())

    def test_elsewhere_for_a_moment(self):
        """What was not packed at its place does not stay there."""
        self.write('a/b/file')
        self.write('a/other')
        changes.survey(self.source, self.notes)
        os.rename(self.path('a/b'), self.path('c'))
        fifos.written(self.folder.join('fifo'), changes.pack_first,
                      self.source, self.notes)
        os.rename(self.path('c'), self.path('a/b'))
        kept, again = self.second()
        self.assertEqual({'.//', './a//', './a/other'}, kept)
        self.assertEqual({'./', './a/', './a/b/', './a/b/file'}, again)

    def test_there_for_a_moment(self):
        changes.survey(self.source, self.notes)
        self.write('file')
        fifos.written(self.folder.join('fifo'), changes.pack_first,
                      self.source, self.notes)
        os.unlink(self.path('file'))
        self.assertEqual(({'.//'}, {'./'}), self.second())

    def test_in_use(self):
        """What tar says of it is no error."""
        for name in 'abcdef':
            self.write(name, 'x' * (1 << 20))
        changes.survey(self.source, self.notes)
        os.mkfifo(self.folder.join('fifo'))
        # As tar is at one of them, and has not looked at others.
        with fifos.reader(self.folder.join('fifo'), fifos.WAIT + f"""
for entry in os.scandir({self.source!r}):
    os.truncate(entry.path, 1)
    os.unlink(entry.path)
""" + fifos.READ):
            changes.pack_first(self.source, self.folder.join('fifo'),
                               self.notes)

    def test_no_directory(self):
        os.symlink(self.source, self.folder.join('link'))
        self.source = self.folder.join('link')
        for function in changes.survey, changes.compare:
            self.assertRaises(NotADirectoryError, function, self.source,
                              self.notes)

    def test_notes_of_somebody_else(self):
        os.symlink('/absent', f'{self.notes}.seen')
        self.assertRaises(FileExistsError, changes.survey, self.source,
                          self.notes)

    def test_what_find_says_is_an_error(self):
        self.first()
        self.useFixture(fixtures.MockPatchObject(changes, '_RECORD', '%!'))
        error = self.assertRaises(processutils.ProcessExecutionError,
                                  changes.compare, self.source, self.notes)
        self.assertIn('%!', error.stderr)
