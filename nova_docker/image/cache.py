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


"""The images that are kept in the engine, and for how long.

Only references of the driver's own repositories are ever removed, one by one
and never forced: an image that somebody else has a name for stays.

``[docker]state_dir``/images.json has, for each reference, the Unix time at
which it was last known to be used.
"""

import collections.abc
import contextlib
import json
import os
import time

from oslo_concurrency import lockutils
from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.engine import errors

LOG = logging.getLogger(__name__)


def use(state_dir: str, reference: str) -> None:
    """Remember that an image is used now."""
    with _record(state_dir) as last_used:
        last_used[reference] = time.time()


def age(state_dir: str, present: collections.abc.Collection[str],
        used: collections.abc.Container[str],
        minimum_age: float) -> list[str]:
    """Remember what is used now, and forget what is gone.

    An image that is seen for the first time is as old as one that is used.

    :param present: the references in the engine
    :param used: those of them that are used
    :param minimum_age: seconds
    :returns: those that have not been used for so long
    """
    now = time.time()
    with _record(state_dir) as last_used:
        for reference in last_used.keys() - set(present):
            del last_used[reference]
        for reference in present:
            if reference in used or reference not in last_used:
                last_used[reference] = now
        return [reference for reference, last in last_used.items()
                if reference not in used and last + minimum_age <= now]


def remove(engine: client.Engine, reference: str) -> None:
    """Remove a private reference; the image goes with its last one.

    Never raises: what is left is found again by the next pass over the cache.
    """
    try:
        engine.remove_image(reference)
    except errors.NotFound:
        pass
    except errors.EngineError as error:
        LOG.warning('Image %(reference)s may be left in the engine: '
                    '%(error)s', {'reference': reference, 'error': error})


@contextlib.contextmanager
def _record(state_dir: str) -> collections.abc.Iterator[dict[str, float]]:
    """The times by reference; they are written if the body changes them."""
    path = os.path.join(state_dir, 'images.json')
    with lockutils.lock('nova-docker-image-cache'):
        before: dict[str, float] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            with open(path, encoding='utf-8') as file:
                before = json.load(file)
        after = dict(before)
        yield after
        if after != before:
            with open(f'{path}.new', 'w', encoding='utf-8') as file:
                json.dump(after, file)
            os.rename(f'{path}.new', path)
