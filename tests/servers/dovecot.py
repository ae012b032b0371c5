"""A private Dovecot: IMAP with STARTTLS, IMAP over TLS, passwords and XOAUTH2, on free ports of loopback.

Users are whoever logs in with ``PASSWORD``, or with ``TOKEN.user`` as an access token; each has a mailbox
of its own. Mail is put there through IMAP, as another client would.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import imaplib
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers.certificates import Authority
from tests.servers.mariadb import in_memory, program
from tests.servers.ports import free_port

PASSWORD, TOKEN = "correct-horse-battery", "good-access-token-0123456789"
HOST = "localhost"

CONFIG = """\
protocols = imap
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
auth_verbose = yes
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {login_user}
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:{folder}/mail/%u
mailbox_list_index = no
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap {{
  process_min_avail = 1
}}
"""

OAUTH2 = """\
tokeninfo_url = http://127.0.0.1:{port}/tokeninfo?access_token=
username_attribute = user
active_attribute = active
active_value = yes
"""


class Dovecot:
    """A server that lives as long as its ``with`` block. ``authority``: what its clients must trust."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="coldsend-dovecot-", dir=in_memory()))
        self.folder.chmod(0o755)
        self.imap, self.imaps = free_port(), free_port()
        self.authority = Authority(self.folder)
        self.tokens = _TokenServer()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Dovecot:
        dovecot = program("dovecot")
        assert dovecot, "dovecot is not installed; see requirements/servers.txt"
        certificate, key = self.authority.issue(HOST, "127.0.0.1")
        me = pwd.getpwuid(os.geteuid())
        as_root = os.geteuid() == 0
        config = self.folder / "dovecot.conf"
        config.write_text(
            CONFIG.format(
                folder=self.folder,
                user="dovecot" if as_root else getpass.getuser(),
                group=grp.getgrgid(pwd.getpwnam("dovecot").pw_gid if as_root else me.pw_gid).gr_name,
                login_user="dovenull" if as_root else getpass.getuser(),
                uid=pwd.getpwnam("mail").pw_uid if as_root else me.pw_uid,
                gid=pwd.getpwnam("mail").pw_gid if as_root else me.pw_gid,
                certificate=certificate,
                key=key,
                imap=self.imap,
                imaps=self.imaps,
                password=PASSWORD,
            )
        )
        (self.folder / "oauth2.conf").write_text(OAUTH2.format(port=self.tokens.port))
        mail = self.folder / "mail"
        mail.mkdir()
        if as_root:
            os.chown(mail, pwd.getpwnam("mail").pw_uid, pwd.getpwnam("mail").pw_gid)
        self.tokens.start()
        with (self.folder / "stderr").open("wb") as out:
            self._process = subprocess.Popen([dovecot, "-F", "-c", str(config)], stdout=out, stderr=out)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.tokens.stop()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)

    def log(self) -> str:
        texts = [self.folder / name for name in ("stderr", "dovecot.log")]
        return "".join(file.read_text() for file in texts if file.exists())

    @contextlib.contextmanager
    def client(self, user: str) -> Iterator[imaplib.IMAP4_SSL]:
        """Another client of the same mailbox, which may change it."""
        import ssl

        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        client = imaplib.IMAP4_SSL(HOST, self.imaps, ssl_context=context)
        try:
            client.login(user, PASSWORD)
            yield client
        finally:
            client.logout()

    def put(self, user: str, *messages: bytes, folder: str = "INBOX", at: datetime | None = None) -> None:
        """Put messages into a mailbox; ``at``: when the server is to say it received them."""
        received = "" if at is None else imaplib.Time2Internaldate(at)
        with self.client(user) as client:
            for message in messages:
                status, said = client.append(folder, "", received, message)
                assert status == "OK", said

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.imap), 1) as probe:
                if probe.recv(4) == b"* OK":
                    return
            time.sleep(0.02)
        raise AssertionError(f"dovecot did not start:\n{self.log()}")


class _TokenServer:
    """What Dovecot asks about an access token: its user stands in the token, after a dot."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.port = self._server.server_address[1]

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        token, _dot, user = self.path.partition("access_token=")[2].partition(".")
        good = token == TOKEN and user
        body = b'{"active":"yes","user":"%s"}' % user.encode() if good else b'{"error":"invalid_token"}'
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is for the test."""
