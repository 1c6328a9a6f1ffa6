"""A PostgreSQL server of its own for the tests: from Debian's package, on a socket in a temporary directory."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import psycopg

_FAST = "-c listen_addresses= -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=100"
_BINARIES = "/usr/lib/postgresql/*/bin"


def binary(name: str) -> str:
    """The path of one of PostgreSQL's programs, of the newest version installed; the bare name when there is none."""
    found = sorted(pathlib.Path("/").glob(_BINARIES.lstrip("/") + "/" + name), key=lambda path: path.parts[-3])
    return str(found[-1]) if found else name


class Server:
    """Started when made, gone after `stop`. initdb refuses root, so that root starts it as the user postgres."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kassette-postgres-"))
        self._data = self.directory / "data"
        self._user = []
        if os.getuid() == 0:
            self._user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(self.directory, "postgres")
        try:
            self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "kassette", "--no-sync")
            options = "%s -k %s" % (_FAST, self.directory)
            self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self.directory / "log"), "-o", options, "start")
        except BaseException:
            shutil.rmtree(self.directory)
            raise
        self._made = 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, binary(program), *arguments]
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)

    def database(self) -> str:
        """A new, empty database; its URL."""
        self._made += 1
        name = "books%d" % self._made
        with psycopg.connect("host=%s user=kassette dbname=postgres" % self.directory, autocommit=True) as connection:
            connection.execute("CREATE DATABASE %s" % name)
        return "postgresql+psycopg://kassette@/%s?host=%s" % (name, self.directory)

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.directory)
