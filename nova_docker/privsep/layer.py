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

"""The files that a container does not share with its image.

They are in the upper directory of its overlay, as the kernel keeps them there:
what was removed is a character device with the number 0, and the attributes
``trusted.overlay.*`` tell of directories.
"""

import errno
import os
import shutil
import stat
import subprocess
import tempfile

from oslo_concurrency import processutils

import nova_docker.privsep

#: What overlay notes of the file that another one was made of. It is another
#: one elsewhere.
_OF_ORIGIN = ('origin', 'impure', 'uuid')
#: Everything that a file has.
_WHOLE = ('--numeric-owner', '--acls', '--xattrs', '--xattrs-include=*')


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def used(directory: str) -> int:
    """Bytes that the files in a directory take, each once.

    :raises oslo_concurrency.processutils.ProcessExecutionError: it can't be
        read
    """
    said, _errors = processutils.execute(
        'du', '--summarize', '--one-file-system', '--block-size=1', '--',
        directory)
    return int(said.split()[0])


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def copy(source: str, target: str) -> None:
    """Have in one directory what is in another one, and nothing else.

    Neither is in use. Holes of files stay holes, and links of files links.

    :raises NotADirectoryError: one of them is a link, or is not there
    :raises oslo_concurrency.processutils.ProcessExecutionError: it can't be
        read or written, as where the disk is full
    """
    for path in source, target:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, 'not a directory', path)
    with os.scandir(target) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
    # One of subprocess would not block under eventlet, also for tar.
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as errors, open(reading, 'rb') as stdin:
        with open(writing, 'wb') as stdout:
            packing = subprocess.Popen(
                ['tar', '--create', '--file=-', f'--directory={source}',
                 '--sparse', *_WHOLE,
                 *(f'--xattrs-exclude=trusted.overlay.{name}'
                   for name in _OF_ORIGIN), '.'],
                stdout=stdout, stderr=errors)
        with packing:
            done = subprocess.run(
                ['tar', '--extract', '--file=-', f'--directory={target}',
                 '--preserve-permissions', '--same-owner',
                 '--delay-directory-restore', *_WHOLE],
                stdin=stdin, capture_output=True)
            # Or the other would wait for ever to write more.
            stdin.close()
        errors.seek(0)
        for code, said in ((done.returncode, done.stderr),
                           (packing.returncode, errors.read())):
            if code:
                raise processutils.ProcessExecutionError(
                    exit_code=code, stderr=os.fsdecode(said), cmd='tar')
