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

"""A browser that shows consoles."""

import base64
import io
import urllib.parse

import fixtures
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome import service
from selenium.webdriver.common import action_chains
from selenium.webdriver.common import by

from tests.fixtures import consoles
from tests.integration.cloud import base

#: What xterm.js shows, and what was scrolled away.
_LINES = """
const buffer = terminal.buffer.active;
return Array.from({length: buffer.length},
                  (_, row) => buffer.getLine(row).translateToString().trim());
"""
#: Where it can be typed.
_XTERM, _NOVNC = '.xterm-screen', '#screen canvas'
#: What noVNC shows, as the URL of a picture.
_PICTURE = f"return document.querySelector('{_NOVNC}')?.toDataURL() ?? ''"


class Browser(fixtures.Fixture):
    """A Chromium without a screen.

    What it shows at the end, also of a test that fails, is kept in the logs
    of the cloud.
    """

    def __init__(self, name):
        """:param name: of the screenshot"""
        self._name = name

    def _setUp(self):
        options = webdriver.ChromeOptions()
        options.binary_location = '/usr/bin/chromium'
        # Its sandbox does not let root in, and it only sees pages of the
        # cloud.
        for option in ('headless=new', 'no-sandbox', 'disable-dev-shm-usage',
                       'no-proxy-server', 'window-size=1280,960'):
            options.add_argument(f'--{option}')
        options.ignore_local_proxy_environment_variables()
        self._driver = webdriver.Chrome(
            options, service.Service('/usr/bin/chromedriver'))
        self.addCleanup(self._driver.quit)
        self.addCleanup(self._keep_screenshot)

    def _keep_screenshot(self):
        folder = base.state_dir() / 'log' / 'screenshots'
        folder.mkdir(exist_ok=True)
        self._driver.save_screenshot(str(folder / f'{self._name}.png'))

    def open_serial(self, url):
        """:param url: as Nova gives it, of a WebSocket"""
        self._screen = _XTERM
        # Another page each time: what differs behind the # only is the same.
        self._driver.get('about:blank')
        self._driver.get(urllib.parse.urlsplit(url)._replace(
            scheme='http', path='/serial.html', query='',
            fragment=url).geturl())

    def open_vnc(self, url):
        """:param url: as Nova gives it, of a page"""
        self._screen = _NOVNC
        self._driver.get(url)

    def type(self, text):
        screen = self._driver.find_element(by.By.CSS_SELECTOR, self._screen)
        action_chains.ActionChains(self._driver).click(screen).send_keys(
            text).perform()

    def try_shell(self):
        """Type a command, which is not what it prints, and read that."""
        self.wait_for('/ #')
        self.type('echo a""b\n')
        self.wait_for('ab')

    def wait_for(self, text):
        """Wait until it is seen: on a serial console, as a whole line."""
        shows = {_XTERM: self._has_line, _NOVNC: self._has_picture}
        base.wait_for(f'a console with {text!r}',
                      lambda: shows[self._screen](text), 120)

    def _has_line(self, text):
        return text in self._driver.execute_script(_LINES)

    def _has_picture(self, text):
        url = self._driver.execute_script(_PICTURE)
        data = base64.b64decode(url.partition(',')[2])
        return data and consoles.shows(
            Image.open(io.BytesIO(data)).convert('RGB'), text)
